import type { IncomingMessage, ServerResponse } from 'node:http';
import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { bridgeStdio } from '../../src/agent/stdio-bridge.ts';
import type { TaskSession } from '../../src/agent/task-session.ts';
import { Cancellation } from '../../src/domain/cancellation.ts';
import {
  type FakeHttpOptions,
  type FakeHttpServer,
  type SeenRequest,
  startFakeHttpServer,
} from '../support/fake-mcp-http-server.ts';

/** The bridge between a client that is played here and a server of both eras, with sessions, in place of the gateway. */
const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

type Json = Record<string, unknown>;

interface Client {
  readonly server: FakeHttpServer;
  readonly problems: string[];
  readonly said: Json[];
  readonly cancellation: Cancellation;
  readonly ended: Promise<void>;
  write(message: unknown): void;
  /** Waits for the first message that fits. */
  hear(fits: (message: Json) => boolean): Promise<Json>;
  /** Sends a request and waits for its reply. */
  ask(id: number, method: string, params?: Json): Promise<Json>;
  end(): Promise<void>;
}

const PATIENT = { timeout: 8_000, interval: 10 };

async function start(options: FakeHttpOptions = {}, output = new PassThrough()): Promise<Client> {
  const server: FakeHttpServer = await startFakeHttpServer({
    version: 'dual',
    ...options,
    intercept: (request, response, message) =>
      options.intercept?.(request, response, message) === true || answerPlain(server, request, response, message),
  });
  closers.push(() => server.close());
  const input = new PassThrough();
  const said: Json[] = [];
  const problems: string[] = [];
  let held = '';
  output.setEncoding('utf8').on('data', (text: string) => {
    const lines = (held + text).split('\n');
    held = lines.pop() as string;
    for (const line of lines) said.push(JSON.parse(line) as Json);
  });
  const session: TaskSession = {
    granted: { task: 'tsk_x', purpose: 'p', expires_at: 0 },
    mcpUrl: server.url,
    token: async () => 'token',
    refresh: async () => 'token',
    notePrompt: async () => {},
    end: async () => {},
  };
  const cancellation = new Cancellation();
  const onProblem = (problem: string): void => void problems.push(problem);
  const ended = bridgeStdio({ session, input, output, cancellation, onProblem, graceMs: 5_000 });
  closers.push(async () => {
    cancellation.cancel('the test is over');
    await ended;
  });
  const client: Client = {
    server,
    problems,
    said,
    cancellation,
    ended,
    write: (message) => void input.write(`${JSON.stringify(message)}\n`),
    async hear(fits) {
      await expect.poll(() => said.some(fits), PATIENT).toBe(true);
      return said.find(fits) as Json;
    },
    async ask(id, method, params = {}) {
      client.write({ jsonrpc: '2.0', id, method, params });
      return await client.hear((message) => message.id === id && message.method === undefined);
    },
    async end() {
      input.end();
      await ended;
    },
  };
  return client;
}

/** Answers in a session that it knows to what every server knows. */
function answerPlain(
  server: FakeHttpServer,
  { headers }: IncomingMessage,
  response: ServerResponse,
  message: { id?: unknown; method?: string } | undefined,
): boolean {
  const isKnown = server.sessions.has(String(headers['mcp-session-id'])) || headers['mcp-method'] !== undefined;
  if (!isKnown || !/^(ping|tools.*|resources.list)$/.test(message?.method ?? '')) return false;
  response
    .writeHead(200, { 'content-type': 'application/json' })
    .end(JSON.stringify({ jsonrpc: '2.0', id: message?.id, result: { tools: [] } }));
  return true;
}

const INITIALIZE = {
  protocolVersion: '2025-11-25',
  capabilities: { elicitation: {} },
  clientInfo: { name: 'client', version: '1' },
};

async function initialize(client: Client): Promise<void> {
  await client.ask(0, 'initialize', INITIALIZE);
  client.write({ jsonrpc: '2.0', method: 'notifications/initialized' });
  await expect.poll(() => client.server.seen.some(({ verb }) => verb === 'GET'), PATIENT).toBe(true);
}

const ENVELOPE = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
};
const modern = (params: Json = {}): Json => ({ ...params, _meta: ENVELOPE });

const posted = (client: Client, method: string): SeenRequest[] =>
  client.server.seen.filter(({ message }) => message?.method === method);

const sseOf = (response: ServerResponse, text: string): true => {
  response.writeHead(200, { 'content-type': 'text/event-stream' }).end(text);
  return true;
};

describe('a legacy client', () => {
  it('has one session, whose id and revision go with everything, and which is ended at the end', async () => {
    const client = await start();
    await initialize(client);
    expect(await client.ask(1, 'echo', { a: 1 })).toEqual({ jsonrpc: '2.0', id: 1, result: { echo: { a: 1 } } });
    await client.end();
    const [first, ...others] = client.server.seen;
    expect(first?.headers['mcp-session-id']).toBeUndefined();
    expect(others.map(({ verb }) => verb).sort()).toEqual(['DELETE', 'GET', 'POST', 'POST']);
    const ids = new Set(others.map(({ headers }) => headers['mcp-session-id']));
    expect(ids.size).toBe(1);
    expect([...ids][0]).toMatch(/^session-/);
    for (const { headers } of others) expect(headers['mcp-protocol-version']).toBe('2025-11-25');
    expect(client.server.sessions.size).toBe(0);
  });

  it('ends its session when it is stopped by a signal, without waiting for replies', async () => {
    const client = await start();
    await initialize(client);
    client.write({ jsonrpc: '2.0', id: 1, method: 'hang' });
    await expect.poll(() => posted(client, 'hang').length, PATIENT).toBe(1);
    const before = performance.now();
    client.cancellation.cancel('SIGTERM');
    await client.ended;
    expect(performance.now() - before).toBeLessThan(2_000);
    expect(client.server.seen.at(-1)?.verb).toBe('DELETE');
  });

  it('is asked what the server asks within a call, and its answer reaches the server', async () => {
    const client = await start();
    await initialize(client);
    client.write({ jsonrpc: '2.0', id: 1, method: 'elicit', params: {} });
    const question = await client.hear((message) => message.method === 'elicitation/create');
    client.write({ jsonrpc: '2.0', id: question.id, result: { action: 'accept', content: { name: 'é' } } });
    expect(await client.hear((message) => message.id === 1)).toMatchObject({
      result: { answer: { action: 'accept', content: { name: 'é' } } },
    });
  });

  it('hears notifications of its calls, and what is said outside of any', async () => {
    const client = await start();
    await initialize(client);
    await client.ask(1, 'announce', { _meta: { progressToken: 5 } });
    expect(client.said.map((message) => message.method)).toContain('notifications/message');
    expect(client.said).toContainEqual(
      expect.objectContaining({ params: { progressToken: 5, progress: 2, total: 3 } }),
    );
    await client.ask(2, 'change');
    await client.hear((message) => message.method === 'notifications/tools/list_changed');
  });

  it('cancels by a notification', async () => {
    const client = await start();
    await initialize(client);
    client.write({ jsonrpc: '2.0', id: 1, method: 'hang' });
    await expect.poll(() => posted(client, 'hang').length, PATIENT).toBe(1);
    client.write({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } });
    await expect.poll(() => posted(client, 'notifications/cancelled').length, PATIENT).toBe(1);
  });

  it('goes on without a stream where the gateway offers none (405), and without a session where it gives none', async () => {
    const client = await start({
      sessionless: true,
      intercept: (request, response) => request.method === 'GET' && Boolean(response.writeHead(405).end()),
    });
    await initialize(client);
    expect(await client.ask(1, 'echo')).toMatchObject({ result: { echo: {} } });
    await client.end();
    expect(client.server.seen.filter(({ verb }) => verb === 'GET')).toHaveLength(1);
    expect(client.server.seen.filter(({ verb }) => verb === 'DELETE')).toEqual([]);
    expect(client.said.every((message) => message.id !== null)).toBe(true);
  });

  it('fault 12: has its session opened again once, by its own handshake, for all that find it gone; reads are asked again', async () => {
    const client = await start();
    await initialize(client);
    await client.ask(1, 'resources/subscribe', { uri: 'x://1' });
    await client.ask(2, 'logging/setLevel', { level: 'debug' });
    client.server.sessions.clear();
    const replies = await Promise.all([3, 4, 5].map((id) => client.ask(id, 'resources/list')));
    for (const reply of replies) expect(reply).not.toHaveProperty('error');
    const handshakes = posted(client, 'initialize');
    expect(handshakes).toHaveLength(2);
    expect(handshakes[1]?.message).toEqual(handshakes[0]?.message);
    expect(handshakes[1]?.headers['mcp-session-id']).toBeUndefined();
    expect(posted(client, 'notifications/initialized')).toHaveLength(2);
    expect(posted(client, 'resources/subscribe')).toHaveLength(2);
    expect(posted(client, 'logging/setLevel')).toHaveLength(2);
    // The client has seen nothing of it.
    expect(client.said.filter((message) => message.id === 0)).toHaveLength(1);
    expect(client.said.filter((message) => String(message.id).startsWith('remit'))).toEqual([]);
    // And there is a stream again.
    await expect.poll(() => client.server.seen.filter(({ verb }) => verb === 'GET').length, PATIENT).toBeGreaterThan(1);
  });

  it('I2: a call that found its session gone is never sent again; the next one goes through', async () => {
    const client = await start();
    await initialize(client);
    client.server.sessions.clear();
    expect(await client.ask(1, 'tools/call', { name: 'pay' })).toMatchObject({
      error: { code: -32000, message: expect.stringContaining('nothing was carried out') },
    });
    expect(posted(client, 'tools/call')).toHaveLength(1);
    expect(await client.ask(2, 'echo')).toMatchObject({ result: {} });
  });

  it('fault 12: hears an error where the session cannot be opened again, and tries at the next message', async () => {
    let isDown = false;
    const client = await start({
      intercept: (_request, response, message) =>
        isDown && message?.method === 'initialize' && Boolean(response.writeHead(503).end()),
    });
    await initialize(client);
    isDown = true;
    client.server.sessions.clear();
    expect(await client.ask(1, 'resources/list')).toMatchObject({ error: { code: -32000 } });
    isDown = false;
    expect(await client.ask(2, 'ping')).not.toHaveProperty('error');
  });

  it('I2: goes on with a broken event stream by its event id, and does not ask again', async () => {
    let resumedFrom: unknown;
    const client = await start({
      intercept(request: IncomingMessage, response: ServerResponse, message) {
        if (message?.method === 'slow') {
          sseOf(response, 'id: 7-1\nretry: 100\ndata:\n\n');
          return true;
        }
        if (request.headers['last-event-id'] === undefined) return false;
        resumedFrom = request.headers['last-event-id'];
        sseOf(response, 'id: 7-2\ndata: {"jsonrpc":"2.0","id":1,"result":{"late":true}}\n\n');
        return true;
      },
    });
    await initialize(client);
    expect(await client.ask(1, 'slow')).toMatchObject({ result: { late: true } });
    expect(resumedFrom).toBe('7-1');
    expect(posted(client, 'slow')).toHaveLength(1);
  });

  it('hears an error where a stream ends without a reply and cannot be gone on with', async () => {
    const client = await start({
      intercept: (_request, response, message) => message?.method === 'slow' && sseOf(response, ': x\n\n'),
    });
    await initialize(client);
    expect(await client.ask(1, 'slow')).toMatchObject({ error: { message: expect.stringContaining('no reply') } });
  });

  it('gets a large reply in pieces, on one line', async () => {
    const text = `a\u2028${'b'.repeat(3_000_000)}`;
    const client = await start({
      intercept(_request, response, message) {
        if (message?.method !== 'large') return false;
        const body = Buffer.from(`{"jsonrpc":"2.0",\n"id":1,\r\n"result":{"text":${JSON.stringify(text)}}}`);
        response.writeHead(200, { 'content-type': 'application/json' });
        response.write(body.subarray(0, 1_500_000));
        setTimeout(() => response.end(body.subarray(1_500_000)), 20);
        return true;
      },
    });
    expect(await client.ask(1, 'large')).toEqual({ jsonrpc: '2.0', id: 1, result: { text } });
  });

  it('has its replies written no faster than it reads', async () => {
    const output = new PassThrough({ highWaterMark: 1024 });
    let sent = 0;
    const client = await start(
      {
        intercept(_request, response, message) {
          if (message?.method !== 'large') return false;
          response.writeHead(200, { 'content-type': 'text/event-stream' });
          const line = `data: {"jsonrpc":"2.0","method":"x","params":{"t":"${'y'.repeat(100_000)}"}}\n\n`;
          const more = (): void => {
            for (let goesOn = true; sent < 400 && goesOn; sent += 1) goesOn = response.write(line);
            if (sent < 400) response.once('drain', more);
            else response.end('data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n');
          };
          more();
          return true;
        },
      },
      output,
    );
    output.pause();
    client.write({ jsonrpc: '2.0', id: 1, method: 'large' });
    await expect.poll(() => sent, PATIENT).toBeGreaterThan(5);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(sent).toBeLessThan(200);
    output.resume();
    await client.hear((message) => message.id === 1);
    expect(client.said).toHaveLength(401);
  });

  it('sends batches of 2025-03-26 as they are', async () => {
    const client = await start({
      intercept(_request, response, message) {
        if (!Array.isArray(message)) return false;
        const replies = message.map(({ id }) => ({ jsonrpc: '2.0', id, result: {} }));
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(replies));
        return true;
      },
    });
    client.write([
      { jsonrpc: '2.0', id: 1, method: 'ping' },
      { jsonrpc: '2.0', id: 2, method: 'ping' },
    ]);
    await expect
      .poll(() => client.said, PATIENT)
      .toEqual([
        [
          { jsonrpc: '2.0', id: 1, result: {} },
          { jsonrpc: '2.0', id: 2, result: {} },
        ],
      ]);
  });
});

describe('a modern client', () => {
  it('is given the headers that 2026-07-28 needs over HTTP, and no session', async () => {
    const client = await start();
    expect(await client.ask(1, 'server/discover', modern())).toMatchObject({ result: { resultType: 'complete' } });
    await client.ask(2, 'tools/call', modern({ name: 'größe' }));
    client.write({ jsonrpc: '2.0', id: 3, method: 'resources/read', params: modern({ uri: 'docs://a b' }) });
    client.write({ jsonrpc: '2.0', id: 4, method: 'prompts/get', params: modern({ name: '=?base64?eA==?=' }) });
    await expect.poll(() => client.server.seen.length, PATIENT).toBeGreaterThanOrEqual(4);
    await expect.poll(() => posted(client, 'prompts/get').length, PATIENT).toBe(1);
    const headersOf = (method: string) => posted(client, method)[0]?.headers;
    for (const { headers } of client.server.seen) {
      expect(headers['mcp-protocol-version']).toBe('2026-07-28');
      expect(headers['mcp-session-id']).toBeUndefined();
    }
    expect(headersOf('server/discover')).toMatchObject({ 'mcp-method': 'server/discover' });
    expect(headersOf('tools/call')?.['mcp-name']).toBe(`=?base64?${Buffer.from('größe').toString('base64')}?=`);
    expect(headersOf('resources/read')?.['mcp-name']).toBe('docs://a b');
    expect(headersOf('prompts/get')?.['mcp-name']).toBe(
      `=?base64?${Buffer.from('=?base64?eA==?=').toString('base64')}?=`,
    );
    client.cancellation.cancel('enough');
  });

  const TOOL = {
    name: 'query',
    inputSchema: {
      type: 'object',
      properties: {
        region: { type: 'string', 'x-mcp-header': 'Region' },
        more: { type: 'object', properties: { n: { type: 'number', 'x-mcp-header': 'N' } } },
      },
    },
  };
  const serveTools: FakeHttpOptions['intercept'] = (_request, response, message) => {
    if (message?.method !== 'tools/list' && message?.method !== 'tools/call') return false;
    const result = message.method === 'tools/list' ? { tools: [TOOL], resultType: 'complete' } : { content: [] };
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify({ jsonrpc: '2.0', id: message.id, result }));
    return true;
  };

  it.each(['after it has listed the tools', 'although it has not'])(
    'has its arguments repeated in headers where the tool’s schema says so, %s',
    async (when) => {
      const client = await start({ intercept: serveTools });
      if (when.startsWith('after')) await client.ask(1, 'tools/list', modern());
      await client.ask(2, 'tools/call', modern({ name: 'query', arguments: { region: 'Zürich', more: { n: 42 } } }));
      expect(posted(client, 'tools/call')[0]?.headers).toMatchObject({
        'mcp-param-region': `=?base64?${Buffer.from('Zürich').toString('base64')}?=`,
        'mcp-param-n': '42',
      });
      expect(posted(client, 'tools/list')).toHaveLength(1);
      expect(client.said.map((message) => message.id)).toEqual(when.startsWith('after') ? [1, 2] : [2]);
    },
  );

  it('cancels by the end of the stream, of which the client hears nothing', async () => {
    const client = await start();
    client.write({ jsonrpc: '2.0', id: 1, method: 'hang', params: modern() });
    await expect.poll(() => posted(client, 'hang').length, PATIENT).toBe(1);
    client.write({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } });
    const [session] = client.server.sessions.values();
    await expect.poll(() => session?.received.at(-1), PATIENT).toEqual({ method: 'stream closed', id: 1 });
    expect(posted(client, 'notifications/cancelled')).toEqual([]);
    await client.ask(2, 'echo', modern());
    expect(client.said.map((message) => message.id)).toEqual([2]);
  });

  it('listens for as long as it wants, and no longer than it lives', async () => {
    const client = await start();
    const params = modern({ notifications: { toolsListChanged: true } });
    client.write({ jsonrpc: '2.0', id: 1, method: 'subscriptions/listen', params });
    await client.hear((message) => message.method === 'notifications/subscriptions/acknowledged');
    await client.ask(2, 'change', modern());
    await client.hear((message) => message.method === 'notifications/tools/list_changed');
    const before = performance.now();
    await client.end();
    expect(performance.now() - before).toBeLessThan(2_000);
  });

  it('hears an error when its listening ends without a word', async () => {
    const client = await start({
      intercept: (_request, response, message) =>
        message?.method === 'subscriptions/listen' && sseOf(response, ': over\n\n'),
    });
    const params = modern({ notifications: { toolsListChanged: true } });
    expect(await client.ask(1, 'subscriptions/listen', params)).toMatchObject({ error: { code: -32000 } });
  });
});

describe('bounds', () => {
  it('I3: answers requests beyond 256 under way with an error, and still passes notifications on', async () => {
    const client = await start();
    for (let id = 1; id <= 257; id += 1) client.write({ jsonrpc: '2.0', id, method: 'hang', params: modern() });
    expect(await client.hear((message) => message.id === 257)).toMatchObject({
      error: { message: expect.stringContaining('too many') },
    });
    client.write({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } });
    await expect
      .poll(
        () =>
          client.server.sessions
            .values()
            .next()
            .value?.received.some(({ method }) => method === 'stream closed'),
        PATIENT,
      )
      .toBe(true);
    expect(await client.ask(300, 'echo', modern())).toMatchObject({ result: {} });
  });
});
