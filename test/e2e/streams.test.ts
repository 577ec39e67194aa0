import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Client } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endAll, run, startUp, type Up, until } from '../cli/remit.ts';
import { processesWith } from '../support/fake-mcp-processes.ts';
import { type FakeToolsServer, startFakeToolsServer } from '../support/fake-tools-http-server.ts';
import {
  type ClientEra,
  connectTo,
  type Estate,
  exceptionFor,
  findPort,
  makeClient,
  makeEstate,
  openRawSession,
  recordsOf,
  takeTask,
  toolCall,
} from '../support/whole-gateway.ts';

/** What goes through a whole gateway besides requests and replies, and what becomes of it when either side goes away. */
const SERVER = fileURLToPath(new URL('../support/fake-tools-server.mjs', import.meta.url));
const SECRET = `up_${randomBytes(20).toString('hex')}`;
const TOOLS = ['slow', 'chatty', 'ask', 'mutter'];
let web: FakeToolsServer;

beforeAll(async () => {
  web = await startFakeToolsServer();
});

afterAll(async () => {
  await endAll();
  await web?.close();
});

const profiles = (names: readonly string[]): string =>
  names.map((name) => `      ${name}: { class: read, approvedBy: dana@shop.example }\n`).join('');

async function newEstate(more: { port?: number; yaml?: string; agents?: string[] } = {}): Promise<Estate> {
  const { agents = ['scribe'] } = more;
  const estate = await makeEstate({
    agents,
    ...(more.port !== undefined && { port: more.port }),
    secrets: { talk_key: SECRET },
    yaml: (folder) => `${more.yaml ?? ''}connectors:
  talk:
    owner: dana@shop.example
    transport:
      stdio:
        command: ${JSON.stringify([process.execPath, SERVER, folder])}
        environment: { FAKE_TOOLS: ${JSON.stringify(join(folder, 'tools.json'))}, FAKE_HEARD: ${JSON.stringify(join(folder, 'heard'))} }
    credential: { static: { secret: talk_key, exception: ${exceptionFor(...TOOLS)} }, inject: { environment: { FAKE_SECRET: "{token}" } } }
    tools:
${profiles(TOOLS)}  web:
    owner: dana@shop.example
    protocol: modern
    transport: { http: { url: ${JSON.stringify(web.url)} } }
    tools:
${profiles(['slow', 'ask'])}templates:
  talk: { owner: dana@shop.example, purpose: talk, agents: [${agents}], classes: [read], tools: ${JSON.stringify([...TOOLS.map((name) => `talk/${name}`), 'web/*'])}, calls: 5000 }
`,
  });
  const definitions = TOOLS.map((name) => ({ name, description: name, inputSchema: { type: 'object' } }));
  await writeFile(join(estate.folder, 'tools.json'), JSON.stringify(definitions));
  await writeFile(join(estate.folder, 'heard'), '');
  return estate;
}

interface Heard {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
}

async function heardBy({ folder }: Estate, method: string): Promise<Heard[]> {
  const lines = (await readFile(join(folder, 'heard'), 'utf8')).split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Heard).filter((message) => message.method === method);
}

const slowCalls = async (estate: Estate): Promise<Heard[]> =>
  (await heardBy(estate, 'tools/call')).filter(({ params }) => params?.name === 'slow');

/** Text of the first event with data in it. */
async function firstEvent(response: Response): Promise<string> {
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  let text = '';
  for (;;) {
    const event = text.split('\n\n').find((one, at, all) => at < all.length - 1 && /^data: ./m.test(one));
    if (event !== undefined) return event;
    const { done, value } = await reader.read();
    if (done) throw new Error(`the stream ended: ${text}`);
    text += Buffer.from(value).toString();
  }
}

const textIn = (reply: unknown): string => (reply as { content: { text: string }[] }).content[0]?.text ?? '';

describe('fault 30: SIGTERM', () => {
  it('ends streams at once, lets a call finish, and leaves no process', async () => {
    const estate = await newEstate();
    const gateway = await startUp(estate.config);
    const { token } = await takeTask(estate, 'talk');
    const session = await openRawSession(gateway, token);
    const stream = await session.get();
    const call = session.post(toolCall(1, 'talk__slow', { ms: 1_500 }));
    await until(async () => (await slowCalls(estate)).length === 1, 'the call is under way');

    const stopped = performance.now();
    const exited = gateway.stop();
    await stream.text();
    expect(performance.now() - stopped).toBeLessThan(1_000);
    expect(await (await call).text()).toContain('at last');
    expect(await exited).toBe(0);
    expect(performance.now() - stopped).toBeLessThan(8_000);
    expect(processesWith('cmdline', estate.folder)).toEqual([]);
    expect((await recordsOf(estate, 'outcome')).at(-1)?.detail).toMatchObject({ status: 'ok' });
    expect((await recordsOf(estate, 'gateway_stopped')).length).toBe(1);
  });

  it('cuts off what takes too long, whose outcome says that its effect is not known', async () => {
    const estate = await newEstate();
    const gateway = await startUp(estate.config);
    const { token } = await takeTask(estate, 'talk');
    const session = await openRawSession(gateway, token);
    const calls = ['talk__slow', 'web__slow'].map((name, at) =>
      session.post(toolCall(at, name, { ms: 60_000 })).then(
        async (response) => response.text(),
        () => 'cut off',
      ),
    );
    await until(async () => (await slowCalls(estate)).length === 1, 'the call is under way');
    await until(() => web.heard.some(({ params }) => params?.name === 'slow'), 'the other one too');

    const stopped = performance.now();
    expect(await gateway.stop()).toBe(0);
    expect(performance.now() - stopped).toBeLessThan(10_000);
    for (const said of await Promise.all(calls)) expect(said).not.toContain('at last');
    expect(processesWith('cmdline', estate.folder)).toEqual([]);
    const outcomes = (await recordsOf(estate, 'outcome')).map(({ detail }) => detail);
    expect(outcomes).toHaveLength(2);
    for (const outcome of outcomes) {
      expect(['cancelled', 'unknown']).toContain(outcome.status);
      expect(outcome.status === 'unknown' || outcome.effect === 'unknown').toBe(true);
    }
    // In order: what came of a call is on record before the end of the gateway is.
    const { stdout } = await run(['audit', 'tail', '-n', '1', '--json', '--config', estate.config]);
    expect(stdout).toContain('"gateway_stopped"');
  });
});

describe('under way', () => {
  let estate: Estate;
  let gateway: Up;
  beforeAll(async () => {
    estate = await newEstate();
    gateway = await startUp(estate.config);
  });
  afterAll(async () => {
    await gateway?.stop();
  });

  const lastOutcome = async (task: string) =>
    (await recordsOf(estate, 'outcome')).filter((record) => record.task === task).at(-1);

  /** Ids of requests that a server was told to give up; ours are unique over all connections. */
  const cancelled = async (): Promise<unknown[]> =>
    (await heardBy(estate, 'notifications/cancelled')).map(({ params }) => params?.requestId);

  describe('fault 34, I2: the client’s connection is cut during a call', () => {
    it('to a legacy server: one call, which is cancelled by a message', async () => {
      const { token, task } = await takeTask(estate, 'talk');
      const session = await openRawSession(gateway, token);
      const before = (await slowCalls(estate)).length;
      const cut = new AbortController();
      const call = session.post(toolCall(1, 'talk__slow', { ms: 60_000 }), cut.signal);
      await until(async () => (await slowCalls(estate)).length === before + 1, 'the call is under way');
      cut.abort();
      await expect(call).rejects.toThrow();
      const sent = (await slowCalls(estate)).at(-1);
      await until(async () => (await cancelled()).includes(sent?.id), 'the server hears of it');
      const outcome = await until(() => lastOutcome(task), 'its outcome is on record');
      expect(outcome.detail).toMatchObject({ status: 'cancelled', effect: 'unknown' });
      expect(await slowCalls(estate)).toHaveLength(before + 1);
    });

    it('to a modern server: one call, whose stream is closed', async () => {
      const { token, task } = await takeTask(estate, 'talk');
      const session = await openRawSession(gateway, token);
      const sentBefore = web.heard.length;
      const cutBefore = web.cutOff.length;
      const cut = new AbortController();
      const call = session.post(toolCall(1, 'web__slow'), cut.signal);
      await until(() => web.heard.slice(sentBefore).some(({ method }) => method === 'tools/call'), 'it is under way');
      cut.abort();
      await expect(call).rejects.toThrow();
      await until(() => web.cutOff.length === cutBefore + 1, 'its stream is closed');
      const outcome = await until(() => lastOutcome(task), 'its outcome is on record');
      expect(outcome.detail).toMatchObject({ status: 'cancelled', effect: 'unknown' });
      expect(web.heard.slice(sentBefore).filter(({ method }) => method === 'tools/call')).toHaveLength(1);
    });

    it('after it had become a stream: the call goes on, and its reply is there for the client that comes back', async () => {
      const { token, task } = await takeTask(estate, 'talk');
      const session = await openRawSession(gateway, token);
      const cut = new AbortController();
      const before = (await slowCalls(estate)).length;
      const response = await session.post(
        {
          id: 7,
          method: 'tools/call',
          params: { name: 'talk__slow', arguments: { ms: 1_500 }, _meta: { progressToken: 'p' } },
        },
        cut.signal,
      );
      const event = await firstEvent(response);
      expect(event).toContain('notifications/progress');
      cut.abort();
      const again = await session.get(/^id: (.+)$/m.exec(event)?.[1]);
      const reply = await firstEvent(again);
      expect(reply).toContain('at last');
      expect(reply).toContain('"id":7');
      const outcome = await until(() => lastOutcome(task), 'its outcome is on record');
      expect(outcome.detail).toMatchObject({ status: 'ok' });
      const [sent, ...others] = (await slowCalls(estate)).slice(before);
      expect(others).toEqual([]);
      expect(await cancelled()).not.toContain(sent?.id);
    });

    it.each(['talk', 'web'] as const)('a client that cancels by a message does the same to %s', async (connector) => {
      const { token, task } = await takeTask(estate, 'talk');
      const client = await connectTo(makeClient('legacy'), gateway, token);
      const [before, cutBefore, sentBefore] = [(await slowCalls(estate)).length, web.cutOff.length, web.heard.length];
      const cancel = new AbortController();
      const call = client.callTool(
        { name: `${connector}__slow`, arguments: { ms: 60_000 } },
        { signal: cancel.signal },
      );
      const refused = expect(call).rejects.toThrow();
      await until(
        async () =>
          connector === 'web'
            ? web.heard.slice(sentBefore).some(({ method }) => method === 'tools/call')
            : (await slowCalls(estate)).length === before + 1,
        'the call is under way',
      );
      cancel.abort('enough');
      await refused;
      if (connector === 'web') await until(() => web.cutOff.length === cutBefore + 1, 'its stream is closed');
      else {
        const sent = (await slowCalls(estate)).at(-1);
        await until(async () => (await cancelled()).includes(sent?.id), 'the server hears of it');
      }
      const outcome = await until(() => lastOutcome(task), 'its outcome is on record');
      expect(outcome.detail).toMatchObject({ status: 'cancelled' });
      await client.close();
    });
  });

  interface Said {
    readonly client: Client;
    readonly task: string;
    readonly logs: unknown[];
    readonly questions: unknown[];
  }

  /** A client that can be asked, and hears what is said to it. */
  async function listening(era: ClientEra, answer?: (task: string) => Promise<void>): Promise<Said> {
    const { token, task } = await takeTask(estate, 'talk');
    const logs: unknown[] = [];
    const questions: unknown[] = [];
    const client = makeClient(era, { capabilities: { elicitation: { form: {} } } });
    client.setNotificationHandler('notifications/message', ({ params }) => void logs.push(params));
    client.setRequestHandler('elicitation/create', async ({ params }) => {
      questions.push(params.message);
      await answer?.(task);
      return { action: 'accept', content: { name: 'Ada' } };
    });
    await connectTo(client, gateway, token);
    return { client, task, logs, questions };
  }

  const LEVEL = { _meta: { 'io.modelcontextprotocol/logLevel': 'info' } };

  it.each(['legacy', 'modern'] as const)(
    'fault 32, L6, A25: progress and log messages of a legacy server reach a %s client, cleaned',
    async (era) => {
      const { client, logs } = await listening(era);
      const progress: unknown[] = [];
      const reply = await client.callTool(
        { name: 'talk__chatty', arguments: {}, ...(era === 'modern' && LEVEL) },
        { onprogress: (one) => void progress.push(one) },
      );
      expect(textIn(reply)).toBe('said');
      expect(progress).toEqual([
        { progress: 1, total: 2 },
        { progress: 2, total: 2 },
      ]);
      expect(logs).toEqual([{ level: 'info', data: 'half way, [withheld by Remit: a credential]' }]);
      await client.close();
    },
  );

  it('L6, A25: what a server says outside of any call is cleaned too', async () => {
    const { client, logs } = await listening('legacy');
    await client.callTool({ name: 'talk__mutter', arguments: {} });
    await until(() => logs.length > 0, 'it is heard on the GET stream');
    expect(logs).toEqual([{ level: 'info', data: 'psst, [withheld by Remit: a credential]' }]);
    await client.close();
  });

  it.each([
    ['legacy', 'talk'],
    ['modern', 'talk'],
    ['legacy', 'web'],
    ['modern', 'web'],
  ] as const)('a %s client answers the question of %s', async (era, connector) => {
    const { client, questions, task } = await listening(era);
    const sentBefore = web.heard.length;
    const reply = await client.callTool({ name: `${connector}__ask`, arguments: {} });
    expect(questions).toEqual(['Who is there?']);
    const answer = { action: 'accept', content: { name: 'Ada' } };
    if (connector === 'talk') expect(JSON.parse(textIn(reply))).toEqual(answer);
    else expect(textIn(reply)).toBe(`its own state: ${JSON.stringify(answer)}`);
    // Both the question and its answer are decisions; and the one call was sent once, or in its two rounds.
    const decisions = (await recordsOf(estate, 'decision')).filter((record) => record.task === task);
    expect(decisions.filter(({ detail }) => detail.effect === 'ask').length).toBeGreaterThan(0);
    expect(decisions.every(({ detail }) => detail.verdict === 'permit')).toBe(true);
    expect(web.heard.slice(sentBefore).filter(({ method }) => method === 'tools/call')).toHaveLength(
      connector === 'web' ? 2 : 0,
    );
    await client.close();
  });

  it.each(['legacy', 'modern'] as const)(
    'V2: a task that ends while its call waits for a %s client: the answer goes nowhere, and the call is gone',
    async (era) => {
      let before: number[] = [];
      const { client, task } = await listening(era, async (id) => {
        before = processesWith('cmdline', estate.folder);
        const ended = await run(['task', 'end', id, '--config', estate.config]);
        if (ended.code !== 0) throw new Error(ended.stderr);
      });
      const answered = async (): Promise<number> =>
        (await readFile(join(estate.folder, 'heard'), 'utf8')).split('"name":"Ada"').length;
      const answers = await answered();
      // Of a modern client the retry is refused; a legacy one has its call still open, which fails.
      const failed = await client.callTool({ name: 'talk__ask', arguments: {} }).then(
        ({ isError }) => isError,
        (error: unknown) => String(error),
      );
      if (era === 'legacy') expect(failed).toBe(true);
      else expect(failed).toMatch(/unauthori[sz]ed|401|has ended/i);
      await until(
        async () => (await recordsOf(estate, 'task_ended')).some((record) => record.task === task),
        'the task has ended',
      );
      // The server's process was the task's own.
      const pids = (await recordsOf(estate, 'connector_started'))
        .filter((record) => record.task === task)
        .map(({ detail }) => detail.pid);
      expect(pids).toHaveLength(1);
      expect(before).toContain(pids[0]);
      await until(() => !processesWith('cmdline', estate.folder).includes(Number(pids[0])), 'its process is gone');
      expect(await answered()).toBe(answers);
      const outcome = await until(() => lastOutcome(task), 'its outcome is on record');
      expect(outcome.detail.status).not.toBe('ok');
      await client.close().catch(() => {});
    },
  );
});

it('fault 12: after a restart a session is unknown; the same token opens another, and the task goes on', async () => {
  const estate = await newEstate({ port: await findPort() });
  let gateway = await startUp(estate.config);
  const { token, task } = await takeTask(estate, 'talk');
  const client = await connectTo(makeClient('legacy'), gateway, token);
  const session = await openRawSession(gateway, token);
  expect(textIn(await client.callTool({ name: 'talk__chatty', arguments: {} }))).toBe('said');
  await gateway.stop();
  gateway = await startUp(estate.config);
  try {
    const gone = await session.post(toolCall(1, 'talk__chatty'));
    expect(gone.status).toBe(404);
    expect(await gone.text()).toContain('initialize again');
    await expect(client.callTool({ name: 'talk__chatty', arguments: {} })).rejects.toThrow(/404|initialize again/i);
    const fresh = await connectTo(makeClient('legacy'), gateway, token);
    expect(textIn(await fresh.callTool({ name: 'talk__chatty', arguments: {} }))).toBe('said');
    await fresh.close();
    // An outcome is durable a moment after its answer.
    const outcomes = await until(async () => {
      const found = (await recordsOf(estate, 'outcome')).filter((record) => record.task === task);
      return found.length >= 2 && found;
    }, 'both outcomes are on record');
    expect(outcomes.map(({ detail }) => detail.status)).toEqual(['ok', 'ok']);
  } finally {
    await client.close().catch(() => {});
    await gateway.stop();
  }
});

it('fault 17: a thousand sessions that nobody ends stay within the caps of task, agent and gateway', async () => {
  const caps = { perTask: 10, perAgent: 15, max: 25 };
  const estate = await newEstate({ agents: ['scribe', 'clerk'], yaml: `sessions: ${JSON.stringify(caps)}\n` });
  const gateway = await startUp(estate.config);
  const owners = ['scribe', 'scribe', 'clerk', 'clerk'];
  const tokens = await Promise.all(owners.map(async (agent) => (await takeTask(estate, 'talk', agent)).token));
  const opened = await Promise.all(
    tokens.map(async (token) => {
      const sessions = [];
      for (let count = 0; count < 250; count += 1) sessions.push(await openRawSession(gateway, token));
      return sessions;
    }),
  );
  const alive = await Promise.all(
    opened.map(async (sessions) => {
      const states = [];
      for (const session of sessions) {
        const response = await session.post({ id: 1, method: 'ping' });
        await response.text();
        expect([200, 404]).toContain(response.status);
        states.push(response.status === 200);
      }
      return states;
    }),
  );
  const counts = alive.map((states) => states.filter(Boolean).length);
  const [a = 0, b = 0, c = 0, d = 0] = counts;
  for (const count of counts) expect(count).toBeLessThanOrEqual(caps.perTask);
  expect(a + b).toBeLessThanOrEqual(caps.perAgent);
  expect(c + d).toBeLessThanOrEqual(caps.perAgent);
  expect(a + b + c + d).toBe(caps.max);
  // The idlest made room: whoever lives was among the last of its task.
  for (const states of alive) expect(states.slice(0, 200)).not.toContain(true);
  // Nobody is locked out by what was left behind.
  for (const token of tokens) expect((await openRawSession(gateway, token)).id).toBeTruthy();
  await gateway.stop();
});
