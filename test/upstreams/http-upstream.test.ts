import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  createHttpOpener,
  type HttpOpener,
  type HttpOpenerOptions,
} from '../../src/adapters/upstreams/http-upstream.ts';
import { connectorId, taskId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { CredentialInjection, Upstream, UpstreamReply } from '../../src/seams/upstream.ts';
import { type FakeHttpServer, startFakeHttpServer } from '../support/fake-mcp-http-server.ts';
import { CLIENT, schedule } from '../support/fake-mcp-setup.ts';

const CANARY = 'canary-07d2c9a4b1';
const withKey = (value: string, name = 'X-Fake-Key'): CredentialInjection => ({
  environment: {},
  headers: { [name]: new Secret(value) },
});

type Intercept = (
  request: IncomingMessage,
  response: ServerResponse,
  message: { id?: unknown; method?: string } | undefined,
) => boolean;

describe('a server over Streamable HTTP', () => {
  let server: FakeHttpServer;
  let opener: HttpOpener;
  let intercept: Intercept;

  beforeEach(async () => {
    intercept = () => false;
    server = await startFakeHttpServer({ intercept: (...all) => intercept(...all) });
    opener = openerOf();
  });

  afterEach(async () => {
    await opener.close();
    await server.close();
  });

  function openerOf(more: Partial<HttpOpenerOptions> = {}): HttpOpener {
    return createHttpOpener({ url: server.url, clientInfo: CLIENT, schedule, ...more });
  }

  const one = {
    connector: connectorId('fake'),
    task: taskId('tsk_a'),
    timeoutMs: 5_000,
    prefer: 'legacy',
    clientCapabilities: {},
  } as const;
  const open = (injection = withKey(CANARY)): Promise<Upstream> => opener.open({ ...one, injection });
  const call = (upstream: Upstream, method: string, params: unknown = {}, timeoutMs = 5_000): Promise<UpstreamReply> =>
    upstream.request({ method, params: JSON.stringify(params).slice(1, -1), meta: '', timeoutMs });

  /** Answers the method `method` in a way of its own. */
  function on(method: string, act: (response: ServerResponse, id: unknown) => void): void {
    intercept = (_request, response, message) => {
      if (message?.method !== method) return false;
      act(response, message.id);
      return true;
    };
  }

  async function faultOf(outcome: Promise<unknown>): Promise<Error & { hint?: string }> {
    const error = (await outcome.then(
      () => new Error('it succeeded'),
      (thrown: unknown) => thrown,
    )) as Error & { hint?: string };
    expect(JSON.stringify([error.message, error.stack, error.cause, error.hint])).not.toMatch(/canary|tenant=a/);
    return error;
  }

  it('sends credential, session and revision with every request, and ends the session', async () => {
    const upstream = await open();
    await call(upstream, 'echo');
    await upstream.close();
    expect(server.seen.map((seen) => seen.message?.method ?? seen.verb)).toEqual([
      'initialize',
      'notifications/initialized',
      'echo',
      'DELETE',
    ]);
    for (const seen of server.seen) expect(seen.headers['x-fake-key']).toBe(CANARY);
    const [first, ...rest] = server.seen;
    expect(first?.headers['mcp-session-id']).toBeUndefined();
    for (const seen of rest) {
      expect(seen.headers).toMatchObject({
        'mcp-protocol-version': '2025-06-18',
        'mcp-session-id': expect.stringContaining('session-'),
      });
    }
    expect(first?.headers.accept).toBe('application/json, text/event-stream');
    expect(server.sessions.size).toBe(0);
  });

  it('I1, fault 16: shares sockets between connections, never a session', async () => {
    const keys = ['key-a', 'key-b', 'key-c', 'key-d', 'key-e'];
    const upstreams: Upstream[] = [];
    for (const key of keys) upstreams.push(await open(withKey(key)));
    for (let turn = 0; turn < 4; turn += 1) for (const upstream of upstreams) await call(upstream, 'echo');
    // One for calls and one for the rest; a call made while the last one is still being wound up takes another.
    expect(server.sockets()).toBeLessThanOrEqual(3);
    const calls = server.seen.filter((seen) => seen.message?.method === 'echo');
    const pairs = calls.map((seen) => `${seen.headers['x-fake-key']} ${seen.headers['mcp-session-id']}`);
    expect(new Set(pairs).size).toBe(keys.length);
    await upstreams[0]?.close();
    expect(await call(upstreams[1] as Upstream, 'credential')).toMatchObject({ result: { credential: 'key-b' } });
  });

  it('keeps within its sockets', async () => {
    const narrow = openerOf({ maxSockets: 2 });
    const upstream = await narrow.open({ ...one, injection: withKey(CANARY) });
    await Promise.all(Array.from({ length: 20 }, (_, n) => call(upstream, 'echo', { n, delay: 5 })));
    // Two whose replies are plain, two of any other kind.
    expect(server.sockets()).toBeLessThanOrEqual(4);
    await narrow.close();
  });

  it('works with a server that has no sessions, and sends it no DELETE', async () => {
    const plain = await startFakeHttpServer({ sessionless: true });
    const upstream = await openerOf({ url: plain.url }).open({ ...one, injection: withKey(CANARY) });
    expect(await call(upstream, 'echo')).toMatchObject({ result: { echo: {} } });
    await upstream.close();
    expect(plain.seen.map((seen) => seen.verb)).not.toContain('DELETE');
    await plain.close();
  });

  it('ends the session of a handshake that fails', async () => {
    on('notifications/initialized', (response) => response.writeHead(500).end());
    expect(await faultOf(open())).toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
    expect(server.seen.at(-1)).toMatchObject({ verb: 'DELETE', headers: { 'mcp-session-id': expect.any(String) } });
  });

  it.each([404, 400])(
    'fault 13: opens an expired session again in place, once, and repeats no call (I2; HTTP %i)',
    async (status) => {
      const upstream = await open();
      server.sessions.clear();
      intercept = (request, response) => {
        const id = request.headers['mcp-session-id'];
        if (status === 404 || id === undefined || server.sessions.has(id as string)) return false;
        const error = { code: -32000, message: 'Bad Request: No valid session ID provided' };
        response.writeHead(status).end(JSON.stringify({ jsonrpc: '2.0', id: null, error }));
        return true;
      };
      expect(await faultOf(call(upstream, 'write'))).toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
      const results = await Promise.all(['a', 'b', 'c'].map((n) => call(upstream, 'echo', { n })));
      expect(results).toMatchObject([{ result: { echo: { n: 'a' } } }, {}, { result: { echo: { n: 'c' } } }]);
      const methods = server.seen.map((seen) => seen.message?.method);
      expect(methods.filter((method) => method === 'write')).toHaveLength(1);
      expect(methods.filter((method) => method === 'initialize')).toHaveLength(2);
      await upstream.close();
      expect(server.sessions.size).toBe(0);
    },
  );

  it('fault 13: a late word about the old session does not end the new one', async () => {
    const upstream = await open();
    const [old] = server.sessions.keys();
    const held: ServerResponse[] = [];
    on('held', (response) => held.push(response));
    const late = faultOf(call(upstream, 'held'));
    await expect.poll(() => held.length).toBe(1);
    server.sessions.delete(old as string);
    await faultOf(call(upstream, 'echo'));
    expect(await call(upstream, 'echo')).toMatchObject({ result: {} });
    held[0]?.writeHead(404).end();
    expect(await late).toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
    expect(await call(upstream, 'echo')).toMatchObject({ result: {} });
    expect(server.seen.filter((seen) => seen.message?.method === 'initialize')).toHaveLength(2);
  });

  it('fault 13: a session that cannot be opened again fails the call, and the next one tries anew', async () => {
    const upstream = await open();
    server.sessions.clear();
    await faultOf(call(upstream, 'echo'));
    on('initialize', (response) => response.writeHead(503).end());
    expect(await faultOf(call(upstream, 'echo'))).toMatchObject({ message: expect.stringContaining('503') });
    intercept = () => false;
    expect(await call(upstream, 'echo')).toMatchObject({ result: {} });
  });

  it('I2, fault 34: sends nothing again when the socket breaks after the request', async () => {
    const upstream = await open();
    await call(upstream, 'echo'); // the socket is a used one, whose end a client may take for an idle timeout
    on('write', (response) => response.socket?.destroy());
    expect(await faultOf(call(upstream, 'write'))).toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
    expect(await call(upstream, 'echo')).toMatchObject({ result: { echo: {} } });
    expect(server.seen.filter((seen) => seen.message?.method === 'write')).toHaveLength(1);
  });

  it('I2 never sends a call that was given up while it waited for a socket', async () => {
    const narrow = openerOf({ maxSockets: 1 });
    const upstream = await narrow.open({ ...one, injection: withKey(CANARY) });
    const slow = call(upstream, 'echo', { delay: 1_000 });
    expect(await faultOf(call(upstream, 'write', {}, 50))).toMatchObject({ code: 'ERR_CONNECTOR_TIMEOUT' });
    await slow;
    await call(upstream, 'echo');
    const methods = server.seen.map((seen) => seen.message?.method);
    expect(methods).not.toContain('write');
    expect(methods).not.toContain('notifications/cancelled');
    await narrow.close();
  });

  it.each([
    [401, 'ERR_CONNECTOR_UNREACHABLE', 'credential that was leased'],
    [403, 'ERR_CONNECTOR_UNREACHABLE', 'credential that was leased'],
    [302, 'ERR_CONNECTOR_PROTOCOL', undefined],
    [400, 'ERR_CONNECTOR_PROTOCOL', undefined],
    [429, 'ERR_CONNECTOR_UNREACHABLE', undefined],
    [500, 'ERR_CONNECTOR_UNREACHABLE', undefined],
    [503, 'ERR_CONNECTOR_UNREACHABLE', undefined],
  ])('takes HTTP %i for %s', async (status, code, hint) => {
    const upstream = await open();
    on('echo', (response) => response.writeHead(status, { location: `${server.url}&x=${CANARY}` }).end(`no ${CANARY}`));
    const error = await faultOf(call(upstream, 'echo'));
    expect(error).toMatchObject({ code, message: expect.stringContaining(`HTTP ${status}`) });
    if (hint !== undefined) expect(error.hint).toContain(hint);
    expect(server.seen.filter((seen) => seen.verb === 'GET')).toHaveLength(0);
  });

  it('L6 says so when a server refuses the handshake for want of a credential', async () => {
    on('initialize', (response) => response.writeHead(401).end());
    expect((await faultOf(open({ environment: {}, headers: {} }))).hint).toContain('configure one');
  });

  it('passes a JSON-RPC error on that comes with HTTP 400', async () => {
    const upstream = await open();
    on('echo', (response, id) =>
      response.writeHead(400).end(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32602, message: 'no' } })),
    );
    expect(await call(upstream, 'echo')).toEqual({ error: { code: -32602, message: 'no' } });
    on('echo', (response, id) => response.writeHead(500).end(JSON.stringify({ jsonrpc: '2.0', id, result: {} })));
    expect(await faultOf(call(upstream, 'echo'))).toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
  });

  it.each([
    ['nothing', ''],
    ['no JSON', '<html>'],
    ['a batch', '[]'],
    ['the reply to another request', '{"jsonrpc":"2.0","id":999999,"result":{}}'],
  ])('refuses a body with %s', async (_what, body) => {
    const upstream = await open();
    on('echo', (response) => response.writeHead(200, { 'content-type': 'application/json' }).end(body));
    expect(await faultOf(call(upstream, 'echo'))).toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL' });
  });

  it.each(['application/json', 'text/event-stream'])('bounds a reply of %s', async (type) => {
    await opener.close();
    opener = openerOf({ maxReplyBytes: 10_000 });
    const upstream = await open();
    let isCut = false;
    on('echo', (response) => {
      response.on('close', () => {
        isCut = !response.writableFinished;
      });
      response.writeHead(200, { 'content-type': type });
      const more = (): void => {
        if (!response.destroyed)
          response.write(`${type === 'application/json' ? '' : 'data: '}${'x'.repeat(6_000)}\n`, () =>
            setTimeout(more, 5),
          );
      };
      more();
    });
    expect(await faultOf(call(upstream, 'echo'))).toMatchObject({
      code: 'ERR_CONNECTOR_PROTOCOL',
      message: expect.stringContaining('10000 bytes'),
    });
    await expect.poll(() => isCut).toBe(true);
  });

  it('gives a stream up that ends, or breaks, before the reply', async () => {
    const upstream = await open();
    const stream = { 'content-type': 'text/event-stream; charset=utf-8' };
    on('echo', (response) =>
      response.writeHead(200, stream).end(': nothing\n\ndata: {"jsonrpc":"2.0","method":"notifications/x"}\n\n'),
    );
    expect(await faultOf(call(upstream, 'echo'))).toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
    on('echo', (response) =>
      response.writeHead(200, stream).write('data: {"jsonrpc":', () => response.socket?.destroy()),
    );
    expect(await faultOf(call(upstream, 'echo'))).toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
    on('echo', (response) => response.writeHead(200, stream).write('data: not json\n\n'));
    expect(await faultOf(call(upstream, 'echo'))).toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL' });
  });

  it('replies before the stream ends, and ends a stream that stays open', async () => {
    const upstream = await open();
    let isClosed = false;
    on('echo', (response, id) => {
      response.on('close', () => {
        isClosed = true;
      });
      response
        .writeHead(200, { 'content-type': 'text/event-stream' })
        .write(`data: {"jsonrpc":"2.0","id":${id},"result":{"early":true}}\n\n`);
    });
    expect(await call(upstream, 'echo')).toMatchObject({ result: { early: true } });
    expect(isClosed).toBe(false);
    await expect.poll(() => isClosed, { timeout: 5_000 }).toBe(true);
  });

  it('ends a stream that floods us with requests', async () => {
    const upstream = await open();
    on('echo', (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (let n = 0; n < 200; n += 1) response.write(`data: {"jsonrpc":"2.0","id":${n},"method":"ping"}\n\n`);
    });
    expect(await faultOf(call(upstream, 'echo'))).toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL' });
    const answers = server.seen.filter((seen) => seen.message !== undefined && seen.message.method === undefined);
    expect(answers.length).toBeLessThanOrEqual(100);
  });

  it('V2 ends open streams when it is closed, within a bound even if the server does not answer', async () => {
    const upstream = await open();
    let isEnded = false;
    intercept = (request, response, message) => {
      if (message?.method === 'echo')
        response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': open\n\n');
      response.on('close', () => {
        isEnded ||= message?.method === 'echo';
      });
      return request.method === 'DELETE' || message?.method === 'echo';
    };
    const fault = faultOf(call(upstream, 'echo'));
    await expect.poll(() => server.seen.at(-1)?.message?.method).toBe('echo');
    const closing = upstream.close();
    expect(await fault).toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
    await expect.poll(() => isEnded).toBe(true);
    await closing;
  });

  it('ends everything when the opener is closed', async () => {
    const upstream = await open();
    const fault = faultOf(call(upstream, 'hang'));
    await expect.poll(() => server.seen.at(-1)?.message?.method).toBe('hang');
    await Promise.all([opener.close(), opener.close()]);
    await upstream.closed;
    expect(await fault).toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
    expect(await faultOf(open())).toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
    expect(server.sessions.size).toBe(0);
  });

  it('reports a server that is not there', async () => {
    const probe = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => probe.once('listening', resolve));
    const { port } = probe.address() as { port: number };
    await new Promise((resolve) => probe.close(resolve));
    const nobody = openerOf({ url: `http://127.0.0.1:${port}/mcp?tenant=a` });
    const error = await faultOf(nobody.open({ ...one, injection: withKey(CANARY) }));
    expect(error).toMatchObject({
      code: 'ERR_CONNECTOR_UNREACHABLE',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    await nobody.close();
  });

  it.each([
    ['a line break in its value', withKey(`${CANARY}\r\nX-Other: 1`)],
    ['the name of our session header', withKey(CANARY, 'Mcp-Session-Id')],
    ['the name of a framing header', withKey(CANARY, 'Transfer-Encoding')],
  ])('L6 refuses an injected header with %s', async (_what, injection) => {
    expect(await faultOf(open(injection))).toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    expect(server.seen).toHaveLength(0);
  });

  it.each(['two words', 'x'.repeat(2_000)])('refuses an unusable session id', async (id) => {
    on('initialize', (response, request) => {
      const result = { protocolVersion: '2025-06-18', capabilities: {}, serverInfo: { name: 'x', version: '1' } };
      response.writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': id });
      response.end(JSON.stringify({ jsonrpc: '2.0', id: request, result }));
    });
    expect(await faultOf(open())).toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL' });
  });

  it('L6 refuses a URL with a password in it', () => {
    expect(() => openerOf({ url: `http://user:${CANARY}@127.0.0.1/` })).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG_INVALID' }),
    );
  });
});
