import { randomBytes } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openSqlite } from '../../src/adapters/store/open-sqlite.ts';
import { callAdmin } from '../../src/cli/admin-client.ts';
import type { OrderReport } from '../../src/compose/revocation/order-revocation.ts';
import { tenantId } from '../../src/domain/ids.ts';
import type { RevocationAction, RevocationSubject } from '../../src/domain/revocation.ts';
import { endAll, run, runJson, runToFail, startUp, type Up, until } from '../cli/remit.ts';
import { type FakeToolsServer, startFakeToolsServer } from '../support/fake-tools-http-server.ts';
import {
  type Estate,
  exceptionFor,
  findPort,
  makeEstate,
  type OwnTask,
  openRawSession,
  type RawSession,
  recordsOf,
  takeTask,
  toolCall,
} from '../support/whole-gateway.ts';

/** Revocation by the command line, the store and a restart, over a whole gateway: what ends, how fast, and what does not. */
const SERVER = fileURLToPath(new URL('../support/fake-tools-server.mjs', import.meta.url));
const BOUND_MS = 1_000;
const TOOLS = ['slow', 'mutter'];
let web: FakeToolsServer;
let estate: Estate;
let gateway: Up;

beforeAll(async () => {
  web = await startFakeToolsServer();
  const profiles = (names: string[]) =>
    names.map((name) => `      ${name}: { class: read, approvedBy: dana@shop.example }\n`).join('');
  estate = await makeEstate({
    agents: ['scribe', 'clerk'],
    port: await findPort(),
    secrets: { talk_key: `up_${randomBytes(20).toString('hex')}` },
    yaml: (folder) => `connectors:
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
${profiles(['slow'])}templates:
  talk: { owner: dana@shop.example, purpose: talk, agents: [scribe, clerk], classes: [read], tools: ["talk/slow", "talk/mutter", "web/*"], calls: 5000 }
`,
  });
  const definitions = TOOLS.map((name) => ({ name, description: name, inputSchema: { type: 'object' } }));
  await writeFile(join(estate.folder, 'tools.json'), JSON.stringify(definitions));
  await writeFile(join(estate.folder, 'heard'), '');
  gateway = await startUp(estate.config);
});

afterAll(async () => {
  await endAll();
  await web?.close();
});

const remit = (...args: string[]) => runJson<OrderReport>([...args, '--config', estate.config]);
const socket = () => join(estate.folder, '.remit', 'admin.sock');
const order = (action: RevocationAction, kind: RevocationSubject['kind'], id: string) =>
  callAdmin<OrderReport>(socket(), 'revoke', { action, kind, id, reason: 'test' });

interface Reply {
  readonly status: number;
  readonly text: string;
}

/**
 * Asks again and again until the answer says it. What counts is when the last call that was served began: an answer may take its time on the way.
 * @returns the answer, and milliseconds from `since` to the beginning of that call
 */
async function askUntil(
  own: OwnTask,
  text: string,
  since: number,
  ...call: [method?: string, params?: object]
): Promise<Reply & { servedFor: number }> {
  for (let servedFor = 0; ; ) {
    const begun = performance.now() - since;
    const reply = await ask(own, ...call);
    if (reply.text.includes(text)) return { ...reply, servedFor };
    if (!reply.text.includes('cannot confirm')) servedFor = begun;
    expect(begun, `no answer says ${text}: ${reply.text}`).toBeLessThan(20 * BOUND_MS);
  }
}

/** One request without a session. */
async function ask({ token }: OwnTask, method = 'tools/list', params: object = {}): Promise<Reply> {
  const response = await fetch(`${gateway.url}/mcp`, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${token}`,
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
  return { status: response.status, text: await response.text() };
}

/** What is open for a task: a stream, and a call under way at each connector. */
async function keepBusy(task: OwnTask) {
  const session = await openRawSession(gateway, task.token);
  const noteTime = (): number => performance.now();
  const stream = (await session.get()).text().then(noteTime, noteTime);
  const heardBefore = web.heard.filter(({ params }) => params?.name === 'slow').length;
  const calls = ['talk__slow', 'web__slow'].map((name, at) =>
    session
      .post(toolCall(at, name, { ms: 60_000 }))
      .then((response) => response.text().then((text) => ({ at: performance.now(), text }), cutOff), cutOff),
  );
  await until(
    () => web.heard.filter(({ params }) => params?.name === 'slow').length > heardBefore,
    'a call is under way',
  );
  await until(
    async () => (await leasesOf(task)).some(({ state, uses }) => state === 'active' && uses > 0),
    'a credential is used',
  );
  return { session, stream, calls };
}

const cutOff = () => ({ at: performance.now(), text: 'cut off' });

const leasesOf = async ({ task }: OwnTask) =>
  (
    await runJson<{ task: string; state: string; uses: number }[]>(['lease', 'ls', '--all', '--config', estate.config])
  ).filter((lease) => lease.task === task);

/** The other agent, who must notice nothing. */
async function watchOther() {
  const task = await takeTask(estate, 'talk', 'clerk');
  const session: RawSession = await openRawSession(gateway, task.token);
  const stream = await session.get();
  let hasEnded = false;
  const noteEnd = (): void => {
    hasEnded = true;
  };
  void stream.text().then(noteEnd, noteEnd);
  return {
    task,
    async expectUnaffected() {
      expect(hasEnded).toBe(false);
      expect((await ask(task)).text).toContain('talk__slow');
      const listed = await (await session.post({ id: 9, method: 'tools/list' })).text();
      expect(listed).toContain('web__slow');
    },
  };
}

it('V1 V2 a suspended task loses streams, calls and credentials within the bound, is told what to do, and goes on with new credentials', async () => {
  const own = await takeTask(estate, 'talk');
  const other = await watchOther();
  const busy = await keepBusy(own);
  const ordered = performance.now();
  const report = await order('suspend', 'task', own.task);
  const acknowledged = performance.now();
  const refused = await ask(own, 'tools/call', { name: 'talk__mutter', arguments: {} });
  expect(acknowledged - ordered).toBeLessThan(BOUND_MS * 5);
  expect(refused.status).toBe(200);
  expect(refused.text).toMatch(/"isError":true/);
  expect(refused.text).toMatch(/task tsk_\w+ is suspended.*Stop, and tell your user/s);
  const bindsBy = Date.parse(report.bindsBy) - performance.timeOrigin;
  expect(bindsBy - ordered).toBeGreaterThan(BOUND_MS - 100);
  expect(await busy.stream).toBeLessThan(bindsBy);
  for (const { at } of await Promise.all(busy.calls)) expect(at).toBeLessThan(bindsBy);
  expect(report).toMatchObject({ appliedHere: true, effects: { tasksSuspended: 1, leases: { revoking: 0 } } });
  await until(
    async () => (await recordsOf(estate, 'outcome')).filter(({ task }) => task === own.task).length === 2,
    'what came of both calls is on record',
  );
  const outcomes = (await recordsOf(estate, 'outcome')).filter(({ task }) => task === own.task);
  for (const { detail } of outcomes) expect(['cancelled', 'unknown']).toContain(detail.status);
  expect((await ask(own)).text).toMatch(/is suspended/);
  await other.expectUnaffected();

  await remit('task', 'resume', own.task);
  const again = await openRawSession(gateway, own.token);
  expect(await (await again.post(toolCall(1, 'talk__mutter'))).text()).not.toContain('isError":true');
  const leases = await leasesOf(own);
  expect(leases.length).toBeGreaterThanOrEqual(2);
  const said = (await recordsOf(estate, 'task_suspended', 'task_resumed')).filter(({ task }) => task === own.task);
  expect(said.map(({ type }) => type)).toEqual(['task_suspended', 'task_resumed']);
  expect(said[0]?.detail).toMatchObject({ reason: 'test' });
});

it('V2 a killed task is over: tokens, streams, calls, credentials; the order is on the trail before it is made', async () => {
  const own = await takeTask(estate, 'talk');
  const other = await watchOther();
  const busy = await keepBusy(own);
  const killed = await remit('kill', '--task', own.task, '--reason', 'it wrote to the wrong place');
  const done = performance.now();
  expect(killed).toMatchObject({ appliedHere: true, effects: { tasksEnded: 1 } });
  expect((await busy.stream) - done).toBeLessThan(BOUND_MS);
  for (const { at } of await Promise.all(busy.calls)) expect(at - done).toBeLessThan(BOUND_MS);
  expect((await ask(own)).status).toBe(401);
  for (const { state } of await leasesOf(own)) expect(['ended', 'lapsing']).toContain(state);
  const { stdout } = await run(['audit', 'tail', '-n', '400', '--json', '--config', estate.config]);
  const types = stdout.split('\n').filter((line) => line.includes(own.task));
  const administration = types.findIndex((line) => line.includes('"task_revoke"') && line.includes('wrong place'));
  expect(administration).toBeGreaterThan(-1);
  expect(types.findIndex((line) => line.includes('"revocation_applied"'))).toBeGreaterThan(administration);
  await other.expectUnaffected();
});

it('V2 a suspended connector is neither listed nor called, another one is, and both are when it is resumed', async () => {
  const own = await takeTask(estate, 'talk');
  const busy = await keepBusy(own);
  await remit('connector', 'suspend', 'talk', '--reason', 'its host is looked at');
  expect((await busy.calls[0])?.text).not.toContain('at last');
  const listed = await ask(own);
  expect(listed.text).toContain('web__slow');
  expect(listed.text).not.toContain('talk__slow');
  expect((await ask(own, 'tools/call', { name: 'talk__mutter', arguments: {} })).text).toMatch(
    /connector talk is suspended/,
  );
  for (const { state } of await leasesOf(own)) expect(['ended', 'lapsing']).toContain(state);
  await remit('connector', 'resume', 'talk');
  expect((await ask(own)).text).toContain('talk__slow');
  expect((await ask(own, 'tools/call', { name: 'talk__mutter', arguments: {} })).text).not.toMatch(/suspended/);
  await order('revoke', 'task', own.task);
});

it('V1 a row that another node wrote binds within the bound, without any message', async () => {
  const own = await takeTask(estate, 'talk');
  const store = await openSqlite({ path: join(estate.folder, '.remit', 'remit.db') });
  try {
    const entry = { tenant: tenantId('default'), by: 'another node', reason: 'test', at: Date.now() };
    const subject = { kind: 'task', id: own.task } as const;
    await store.revocations.append({ ...entry, action: 'suspend', subject });
    const durable = performance.now();
    expect((await askUntil(own, 'is suspended', durable)).servedFor).toBeLessThan(BOUND_MS);
    await store.revocations.append({ ...entry, action: 'resume', subject });
    await until(async () => !(await ask(own)).text.includes('is suspended'), 'it is served');
  } finally {
    await store.close();
  }
});

it('V1 a gateway whose store does not answer denies everything, says so on the trail, and recovers by itself', async () => {
  const own = await takeTask(estate, 'talk');
  const file = join(estate.folder, '.remit', 'remit.db');
  await rename(file, `${file}.aside`);
  const gone = performance.now();
  const refused = await askUntil(own, 'cannot confirm', gone, 'tools/call', { name: 'talk__mutter', arguments: {} });
  expect(refused.servedFor).toBeLessThan(BOUND_MS);
  expect(refused.text).toMatch(/Nothing was sent\. Try again/);
  await rename(`${file}.aside`, file);
  await until(async () => (await ask(own)).text.includes('talk__mutter'), 'it serves again');
  const [began, ended] = await until(async () => {
    const found = await recordsOf(estate, 'denial_began', 'denial_ended');
    return found.length >= 2 && found;
  }, 'both are on record');
  expect([began?.type, ended?.type]).toEqual(['denial_began', 'denial_ended']);
});

it('V1 a suspended agent starts nothing, and its tasks stay suspended over a restart until it is resumed', async () => {
  const own = await takeTask(estate, 'talk');
  const report = await remit('agent', 'suspend', 'scribe', '--reason', 'it was talked into something');
  expect(report.effects?.tasksSuspended).toBeGreaterThan(0);
  const start = ['task', 'start', '--agent', 'scribe', '--template', 'talk', '--config', estate.config];
  expect(await runToFail(start)).toMatchObject({ message: expect.stringContaining("agent 'scribe' is suspended") });
  expect((await ask(own)).text).toMatch(/agent scribe is suspended/);
  await gateway.stop();
  gateway = await startUp(estate.config);
  expect((await ask(own)).text).toMatch(/agent scribe is suspended/);
  expect(await runToFail(start)).toMatchObject({ message: expect.stringContaining("agent 'scribe' is suspended") });
  await takeTask(estate, 'talk', 'clerk');
  await remit('agent', 'resume', 'scribe');
  expect((await ask(own)).text).toContain('talk__mutter');
});

it('V2 kill --all ends every task and starts none until it is lifted; without a gateway it binds at the next start', async () => {
  const own = await takeTask(estate, 'talk');
  const killed = await remit('kill', '--all', '--reason', 'drill');
  expect(killed.effects?.tasksEnded).toBeGreaterThan(0);
  expect((await ask(own)).status).toBe(401);
  const start = ['task', 'start', '--agent', 'clerk', '--template', 'talk', '--config', estate.config];
  expect(await runToFail(start)).toMatchObject({ message: expect.stringContaining('stopped all work') });
  await remit('kill', '--lift');
  const next = await takeTask(estate, 'talk', 'clerk');
  await gateway.stop();
  const alone = await remit('kill', '--agent', 'clerk', '--reason', 'drill');
  expect(alone).toMatchObject({ appliedHere: false, waiting: { tasks: 1 } });
  gateway = await startUp(estate.config);
  expect((await ask(next)).status).toBe(401);
  await until(
    async () => (await recordsOf(estate, 'task_ended')).some(({ task }) => task === next.task),
    'its end is on record',
  );
  expect(await runToFail(start)).toMatchObject({ message: expect.stringContaining("agent 'clerk' is suspended") });
  await remit('agent', 'resume', 'clerk');
});

it.each([
  ['kill names exactly one thing', ['kill', '--reason', 'x'], 'ERR_USAGE'],
  ['kill names no two things', ['kill', '--all', '--agent', 'scribe', '--reason', 'x'], 'ERR_USAGE'],
  ['kill says why', ['kill', '--all'], 'ERR_USAGE'],
  ['a suspension says why', ['task', 'suspend', 'tsk_1'], 'ERR_USAGE'],
  ['what there is not cannot be killed', ['kill', '--agent', 'nobody', '--reason', 'x'], 'ERR_NOT_FOUND'],
  ['what there is not cannot be suspended', ['connector', 'suspend', 'nothing', '--reason', 'x'], 'ERR_NOT_FOUND'],
])('%s', async (_, args, code) => {
  expect(await runToFail([...args, '--config', estate.config])).toMatchObject({ code });
});

it('V1 how fast: from the order to the first call that is denied', async () => {
  const own = await takeTask(estate, 'talk');
  const here: number[] = [];
  for (let round = 0; round < 40; round += 1) {
    const begun = performance.now();
    await order('suspend', 'task', own.task);
    expect((await ask(own)).text).toContain('is suspended');
    here.push(performance.now() - begun);
    await order('resume', 'task', own.task);
  }
  const elsewhere: number[] = [];
  const store = await openSqlite({ path: join(estate.folder, '.remit', 'remit.db') });
  const entry = { tenant: tenantId('default'), by: 'another node', reason: 'test', at: Date.now() };
  const subject = { kind: 'task', id: own.task } as const;
  for (let round = 0; round < 20; round += 1) {
    await store.revocations.append({ ...entry, action: 'suspend', subject });
    const begun = performance.now();
    const { servedFor } = await askUntil(own, 'is suspended', begun);
    elsewhere.push(performance.now() - begun);
    expect(servedFor).toBeLessThan(BOUND_MS);
    await store.revocations.append({ ...entry, action: 'resume', subject });
    while ((await ask(own)).text.includes('is suspended'))
      expect(performance.now() - begun).toBeLessThan(10 * BOUND_MS);
  }
  await store.close();
  const at = (times: number[], share: number): string =>
    (times.sort((a, b) => a - b)[Math.ceil(times.length * share) - 1] as number).toFixed(1);
  process.stderr.write(
    `revocation, order → next call denied: here p50 ${at(here, 0.5)} ms, p99 ${at(here, 0.99)} ms; ` +
      `written by another node p50 ${at(elsewhere, 0.5)} ms, p99 ${at(elsewhere, 0.99)} ms\n`,
  );
});
