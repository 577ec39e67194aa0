import { afterEach, expect, it } from 'vitest';
import type { HttpOpener } from '../../src/adapters/upstreams/http-upstream.ts';
import { createSseOpener } from '../../src/adapters/upstreams/sse-upstream.ts';
import { connectorId, taskId } from '../../src/domain/ids.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { ServerMessages, Upstream, UpstreamCall, UpstreamReply } from '../../src/seams/upstream.ts';
import { type FakeHttpOptions, type FakeHttpServer, startFakeHttpServer } from '../support/fake-mcp-http-server.ts';
import { CLIENT, schedule } from '../support/fake-mcp-setup.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const closer of closers.splice(0).reverse()) await closer();
});

async function serve(more: FakeHttpOptions = {}): Promise<{ server: FakeHttpServer; opener: HttpOpener }> {
  const server = await startFakeHttpServer({ isSse: true, version: '2024-11-05', ...more });
  const opener = createSseOpener({ url: server.url, clientInfo: CLIENT, schedule });
  closers.push(
    () => server.close(),
    () => opener.close(),
  );
  return { server, opener };
}

const told: { method: string; params: JsonObject }[] = [];
const open = (opener: HttpOpener): Promise<Upstream> =>
  opener.open({
    connector: connectorId('fake'),
    task: taskId('tsk_a'),
    injection: { environment: {}, headers: { 'X-Fake-Key': new Secret('key-of-a') } },
    timeoutMs: 2_000,
    prefer: 'modern',
    clientCapabilities: {},
    events: {
      notification: (method, params) => void told.push({ method, params }),
      ask: async () => ({ result: { from: 'events' } }),
    },
  });
const call = (upstream: Upstream, method: string, more: Partial<UpstreamCall> = {}): Promise<UpstreamReply> =>
  upstream.request({ method, params: '', meta: '', timeoutMs: 5_000, ...more });

it('posts to the endpoint that the stream names, with the credential, and to its own origin only', async () => {
  const { server, opener } = await serve();
  const upstream = await open(opener);
  expect(upstream).toMatchObject({ era: 'legacy', protocolVersion: '2024-11-05' });
  expect(await call(upstream, 'credential')).toMatchObject({ result: { credential: 'key-of-a' } });
  expect(server.seen[0]).toMatchObject({ verb: 'GET', headers: { accept: 'text/event-stream' } });
  for (const seen of server.seen) expect(seen.headers['x-fake-key']).toBe('key-of-a');
});

it.each([
  'http://169.254.169.254/post',
  '//other.example/post',
  'http://u:p@127.0.0.1/post',
  'http://127.0.0.1:1/post',
  'http://',
])('A30, L6: refuses the endpoint %s, and sends it nothing', async (endpoint) => {
  const { server, opener } = await serve({ endpoint });
  await expect(open(opener)).rejects.toMatchObject({
    code: 'ERR_CONNECTOR_PROTOCOL',
    message: expect.stringContaining('not its own'),
  });
  expect(server.seen.filter((seen) => seen.verb === 'POST')).toEqual([]);
});

it.each([
  [401, 'ERR_CONNECTOR_UNREACHABLE'],
  [404, 'ERR_CONNECTOR_UNREACHABLE'],
  [302, 'ERR_CONNECTOR_PROTOCOL'],
  [200, 'ERR_CONNECTOR_PROTOCOL'],
])('takes HTTP %i instead of a stream for %s', async (status, code) => {
  const { opener } = await serve({
    intercept: (_request, response) => response.writeHead(status).end('{}') !== undefined,
  });
  await expect(open(opener)).rejects.toMatchObject({ code });
});

it('fails a call whose request is refused, at once', async () => {
  const { server, opener } = await serve();
  const upstream = await open(opener);
  server.sessions.clear();
  await expect(call(upstream, 'echo')).rejects.toMatchObject({ message: expect.stringContaining('HTTP 404') });
});

it('V2: is over when its stream ends, with all that was pending', async () => {
  const { server, opener } = await serve();
  const upstream = await open(opener);
  const pending = call(upstream, 'hang');
  await expect.poll(() => server.seen.at(-1)?.message?.method).toBe('hang');
  const failed = expect(pending).rejects.toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
  await server.close();
  await failed;
  await upstream.closed;
  await expect(call(upstream, 'echo')).rejects.toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
});

it('I1: asks no call where it cannot tell which one is meant', async () => {
  const { server, opener } = await serve();
  const upstream = await open(opener);
  const asked: string[] = [];
  const client = (name: string): ServerMessages => ({
    notify: () => void asked.push(`${name} told`),
    ask: async () => {
      asked.push(`${name} asked`);
      return { result: { from: name } };
    },
  });
  const waiting = call(upstream, 'hang', { client: client('a') });
  waiting.catch(() => {});
  expect(await call(upstream, 'elicit', { client: client('b') })).toMatchObject({
    result: { answer: { from: 'events' } },
  });
  expect(asked).toEqual([]);
  const [session] = server.sessions.values();
  session?.outside?.('{"jsonrpc":"2.0","method":"notifications/message","params":{"data":1}}');
  await expect.poll(() => asked).toEqual(['a told']);
});
