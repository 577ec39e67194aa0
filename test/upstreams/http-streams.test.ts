import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createHttpOpener, type HttpOpener } from '../../src/adapters/upstreams/http-upstream.ts';
import { reconnectDelay } from '../../src/adapters/upstreams/reconnect.ts';
import { connectorId, taskId } from '../../src/domain/ids.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import {
  NO_CREDENTIAL,
  type ServerMessages,
  type Upstream,
  type UpstreamCall,
  type UpstreamReply,
} from '../../src/seams/upstream.ts';
import type { FakeMessage } from '../support/fake-mcp-behaviour.mjs';
import { type FakeHttpServer, startFakeHttpServer } from '../support/fake-mcp-http-server.ts';
import { CLIENT, schedule } from '../support/fake-mcp-setup.ts';

const STREAM = { 'content-type': 'text/event-stream' };

/** Streams of the legacy era: resumed, held open, listened to outside requests. */
describe('a legacy server that streams', () => {
  let server: FakeHttpServer;
  let opener: HttpOpener;
  let intercept: (request: IncomingMessage, response: ServerResponse, message: FakeMessage | undefined) => boolean;
  let told: { method: string; params: JsonObject }[];
  let delays: number[];

  beforeEach(async () => {
    intercept = () => false;
    told = [];
    delays = [];
    server = await startFakeHttpServer({ intercept: (...all) => intercept(...all) });
    // Seconds are milliseconds here, from the shortest wait on; what waits longer is a deadline.
    opener = createHttpOpener({
      url: server.url,
      clientInfo: CLIENT,
      schedule: (ms, task) => {
        if (ms >= 100 && ms !== 250) delays.push(ms);
        return schedule(ms >= 1_000 && ms < 2_000 ? ms / 100 : ms, task);
      },
      chance: () => 0.5,
    });
  });

  afterEach(async () => {
    await opener.close();
    await server.close();
  });

  const open = (): Promise<Upstream> =>
    opener.open({
      connector: connectorId('fake'),
      task: taskId('tsk_a'),
      injection: NO_CREDENTIAL,
      timeoutMs: 5_000,
      prefer: 'legacy',
      clientCapabilities: {},
      events: {
        notification: (method, params) => void told.push({ method, params }),
        ask: async (method) => ({ result: { asked: method } }),
      },
    });
  const call = (upstream: Upstream, method: string, more: Partial<UpstreamCall> = {}): Promise<UpstreamReply> =>
    upstream.request({ method, params: '', meta: '', timeoutMs: 5_000, ...more });
  const gets = () => server.seen.filter((seen) => seen.verb === 'GET');
  const event = (message: object, id?: string): string =>
    `${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`;

  it('I2: takes a stream up again that ended before the reply, and never sends the request again', async () => {
    const upstream = await open();
    let wanted: unknown;
    intercept = (request, response, message) => {
      if (message?.method === 'slow') {
        wanted = message.id;
        response.writeHead(200, STREAM).end('id: e1\nretry: 120\ndata:\n\n');
        return true;
      }
      if (request.method !== 'GET') return false;
      const last = request.headers['last-event-id'];
      response.writeHead(200, STREAM);
      if (last === 'e1') response.end(event({ method: 'notifications/message', params: { data: 'on' } }, 'e2'));
      else response.end(event({ id: wanted, result: { from: last } }, 'e3'));
      return true;
    };
    const heard: string[] = [];
    const client: ServerMessages = { notify: (method) => void heard.push(method), ask: async () => ({ result: {} }) };
    expect(await call(upstream, 'slow', { client })).toMatchObject({ result: { from: 'e2' } });
    expect(heard).toEqual(['notifications/message']);
    expect(gets().map((seen) => seen.headers['last-event-id'])).toEqual(['e1', 'e2']);
    expect(gets()[0]?.headers['mcp-session-id']).toBe([...server.sessions.keys()][0]);
    expect(server.seen.filter((seen) => seen.message?.method === 'slow')).toHaveLength(1);
    expect(delays.filter((ms) => ms < 1_000)[0]).toBeGreaterThanOrEqual(120);
  });

  it.each(['breaks', 'ends'])('takes a stream up again that %s, as long as the server gives it', async (how) => {
    const upstream = await open();
    intercept = (request, response, message) => {
      if (message?.method === 'slow') {
        const first = response.writeHead(200, STREAM);
        if (how === 'ends') first.end('id: e1\nretry: 100\ndata:\n\n');
        else first.write('id: e1\nretry: 100\ndata:\n\n', () => response.socket?.destroy());
        return true;
      }
      if (request.method !== 'GET') return false;
      response.writeHead(gets().length < 3 ? 503 : 400).end();
      return true;
    };
    // A refused resumption is the end of it: the reply is lost, and who asked hears so.
    await expect(call(upstream, 'slow')).rejects.toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL' });
    expect(gets().map((seen) => seen.headers['last-event-id'])).toEqual(['e1', 'e1', 'e1']);
    expect(delays.filter((ms) => ms < 1_000).map(Math.round)).toEqual([110, 220, 440]);
    expect(server.seen.filter((seen) => seen.message?.method === 'slow')).toHaveLength(1);
    expect(await call(upstream, 'echo')).toMatchObject({ result: {} });
  });

  it('gives a stream up that ends before any event with an id', async () => {
    const upstream = await open();
    intercept = (_request, response, message) => {
      if (message?.method !== 'slow') return false;
      response.writeHead(200, STREAM).end('retry: 100\ndata:\n\n');
      return true;
    };
    await expect(call(upstream, 'slow')).rejects.toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
    expect(gets()).toHaveLength(0);
  });

  it('does not resume a call that was given up meanwhile', async () => {
    const upstream = await open();
    intercept = (_request, response, message) => {
      if (message?.method !== 'slow') return false;
      response.writeHead(200, STREAM).end('id: e1\nretry: 900\ndata:\n\n');
      return true;
    };
    await expect(call(upstream, 'slow', { timeoutMs: 50 })).rejects.toMatchObject({ code: 'ERR_CONNECTOR_TIMEOUT' });
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(gets()).toHaveLength(0);
  });

  it('listens only when something is wanted, and lives with a server that has no such stream', async () => {
    intercept = (request, response) => request.method === 'GET' && response.writeHead(405).end() !== undefined;
    const upstream = await open();
    await upstream.watch({ lists: false, resources: [] });
    expect(gets()).toHaveLength(0);
    await upstream.watch({ lists: true, resources: [] });
    await upstream.watch({ lists: true, resources: ['x://1'] });
    expect(gets()).toHaveLength(1);
    expect(gets()[0]?.headers).toMatchObject({ accept: 'text/event-stream', 'mcp-protocol-version': '2025-06-18' });
    expect(gets()[0]?.headers['content-type']).toBeUndefined();
  });

  it('fault 28: comes back to a stream that ends, one at a time, from where it was, at the pace that the server asks', async () => {
    const upstream = await open();
    let open_ = 0;
    let most = 0;
    intercept = (request, response) => {
      if (request.method !== 'GET') return false;
      open_ += 1;
      most = Math.max(most, open_);
      response.on('close', () => {
        open_ -= 1;
      });
      const n = gets().length;
      const message = event({ method: 'notifications/tools/list_changed', params: { n } }, `g${n}`);
      response.writeHead(200, STREAM);
      if (n <= 3) response.end(`retry: 110\n${message}`);
      else response.write(message);
      return true;
    };
    await upstream.watch({ lists: true, resources: [] });
    await expect.poll(() => told.length).toBe(4);
    expect(gets().map((seen) => seen.headers['last-event-id'])).toEqual([undefined, 'g1', 'g2', 'g3']);
    expect(most).toBe(1);
    const waits = delays.filter((ms) => ms < 1_000);
    expect(waits).toHaveLength(3);
    for (const ms of waits) expect(ms).toBeCloseTo(121, 5);
    await upstream.close();
    await expect.poll(() => open_).toBe(0);
  });

  it('fault 28: waits longer and longer for a server that brings nothing, spread by chance, within bounds', () => {
    const waits = Array.from({ length: 12 }, (_, n) => reconnectDelay(undefined, n, 0));
    expect(waits.slice(0, 6)).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000]);
    expect(Math.max(...waits)).toBe(30_000);
    expect(reconnectDelay(undefined, 1, 0.999)).toBeGreaterThan(2_300);
    expect(reconnectDelay(0, 0, 0)).toBe(100); // a server cannot make us spin
    expect(reconnectDelay(60_000, 3, 0)).toBe(60_000); // nor are we faster than it allows
  });

  it('answers what is asked outside of requests', async () => {
    const upstream = await open();
    await upstream.watch({ lists: true, resources: [] });
    const [session] = server.sessions.values();
    session?.outside?.('{"jsonrpc":"2.0","id":"o1","method":"roots/list"}');
    session?.outside?.('{"jsonrpc":"2.0","id":"o2","method":"ping"}');
    await expect.poll(() => session?.answers.size).toBe(2);
    expect(session?.answers.get('o1')).toMatchObject({ result: { asked: 'roots/list' } });
    expect(session?.answers.get('o2')).toMatchObject({ result: {} });
  });

  it('fault 13: a session that was opened again is listened to and subscribed again', async () => {
    const upstream = await open();
    await upstream.watch({ lists: true, resources: ['x://1'] });
    server.sessions.clear();
    await expect(call(upstream, 'echo')).rejects.toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
    await call(upstream, 'echo');
    await expect.poll(() => gets().length).toBe(2);
    const [session] = server.sessions.values();
    await expect.poll(() => session?.received.map(({ method }) => method)).toContain('resources/subscribe');
    session?.outside?.('{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x://1"}}');
    await expect.poll(() => told).toEqual([{ method: 'notifications/resources/updated', params: { uri: 'x://1' } }]);
  });

  it('fault 13: a stream whose session has gone opens a new one, without a call', async () => {
    const upstream = await open();
    let streams = 0;
    intercept = (request, response) => {
      if (request.method !== 'GET' || server.sessions.size > 1 || streams > 0) return false;
      streams += 1;
      server.sessions.clear();
      response.writeHead(404).end();
      return true;
    };
    await upstream.watch({ lists: true, resources: [] });
    await expect.poll(() => gets().length, { timeout: 5_000 }).toBe(2);
    expect(server.seen.filter((seen) => seen.message?.method === 'initialize')).toHaveLength(2);
  });

  it('delivers many events of one chunk at once', async () => {
    const upstream = await open();
    intercept = (_request, response, message) => {
      if (message?.method !== 'many') return false;
      const one = event({ method: 'notifications/progress', params: { progressToken: 'p', progress: 1 } });
      response.writeHead(200, STREAM).end(`${one.repeat(5_000)}${event({ id: message.id, result: {} })}`);
      return true;
    };
    let count = 0;
    const client: ServerMessages = {
      notify: () => {
        count += 1;
      },
      ask: async () => ({ result: {} }),
    };
    await call(upstream, 'many', { client, progressToken: 'p' });
    expect(count).toBe(5_000);
  });
});
