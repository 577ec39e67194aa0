import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  createHttpOpener,
  type HttpOpener,
  type HttpOpenerOptions,
} from '../../src/adapters/upstreams/http-upstream.ts';
import { Cancellation } from '../../src/domain/cancellation.ts';
import type { Era } from '../../src/domain/era.ts';
import { connectorId, taskId } from '../../src/domain/ids.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { Secret } from '../../src/domain/secret.ts';
import { NO_CREDENTIAL, type Upstream, type UpstreamCall, type UpstreamReply } from '../../src/seams/upstream.ts';
import type { FakeMessage } from '../support/fake-mcp-behaviour.mjs';
import { type FakeHttpServer, startFakeHttpServer } from '../support/fake-mcp-http-server.ts';
import { CLIENT, schedule } from '../support/fake-mcp-setup.ts';

type Intercept = (request: IncomingMessage, response: ServerResponse, message: FakeMessage | undefined) => boolean;

const closers: (() => Promise<unknown>)[] = [];
let intercept: Intercept;
let told: { method: string; params: JsonObject }[];

beforeEach(() => {
  intercept = () => false;
  told = [];
});
afterEach(async () => {
  for (const closer of closers.splice(0).reverse()) await closer();
});

async function serve(version: string, more: Partial<HttpOpenerOptions> = {}) {
  const server = await startFakeHttpServer({ version, intercept: (...all) => intercept(...all) });
  const opener = createHttpOpener({ url: server.url, clientInfo: CLIENT, schedule, chance: () => 0, ...more });
  closers.push(
    () => server.close(),
    () => opener.close(),
  );
  return { server, opener };
}

const open = (opener: HttpOpener, prefer: Era = 'modern', injection = NO_CREDENTIAL): Promise<Upstream> =>
  opener.open({
    connector: connectorId('fake'),
    task: taskId('tsk_a'),
    injection,
    timeoutMs: 5_000,
    prefer,
    clientCapabilities: { elicitation: {} },
    events: {
      notification: (method, params) => void told.push({ method, params }),
      ask: async () => ({ result: {} }),
    },
  });
const call = (upstream: Upstream, method: string, more: Partial<UpstreamCall> = {}): Promise<UpstreamReply> =>
  upstream.request({ method, params: '', meta: '', timeoutMs: 5_000, ...more });
const methods = (server: FakeHttpServer) => server.seen.map((seen) => seen.message?.method);

describe('a modern server over HTTP', () => {
  it('A13: writes the headers of each request anew, from the call', async () => {
    const { server, opener } = await serve('modern');
    const upstream = await open(opener);
    await call(upstream, 'echo', {
      params: '"name":"search","arguments":{}',
      name: 'search',
      paramHeaders: ['Mcp-Param-Region', 'eu', 'Mcp-Param-Text', ' é\r\nX-Smuggled: 1', 'Mcp-Param-Empty', ''],
    });
    const { headers } = server.seen.at(-1) ?? {};
    expect(headers).toMatchObject({
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'echo',
      'mcp-name': 'search',
      'mcp-param-region': 'eu',
      'mcp-param-text': `=?base64?${Buffer.from(' é\r\nX-Smuggled: 1').toString('base64')}?=`,
      'mcp-param-empty': '=?base64??=',
      accept: 'application/json, text/event-stream',
    });
    expect(headers).not.toHaveProperty('x-smuggled');
    await call(upstream, 'echo');
    expect(server.seen.at(-1)?.headers).not.toHaveProperty('mcp-name');
    expect(server.seen.at(-1)?.headers).not.toHaveProperty('mcp-param-region');
  });

  it.each([
    ['plain', 'plain'],
    ['two words', 'two words'],
    ['file:///a%20b?c=1', 'file:///a%20b?c=1'],
    ['\t', '=?base64?CQ==?='],
    ['é', '=?base64?w6k=?='],
    ['=?base64?eA==?=', `=?base64?${Buffer.from('=?base64?eA==?=').toString('base64')}?=`],
  ])('A13: names %j as %j', async (name, expected) => {
    const { server, opener } = await serve('modern');
    await call(await open(opener), 'echo', { name });
    expect(server.seen.at(-1)?.headers['mcp-name']).toBe(expected);
  });

  it('A13: refuses an injected header that would speak for the request', async () => {
    const { opener } = await serve('modern');
    for (const name of ['Mcp-Method', 'mcp-name', 'Mcp-Param-Region', 'Last-Event-ID']) {
      const injection = { environment: {}, headers: { [name]: new Secret('x-value') } };
      await expect(open(opener, 'modern', injection)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    }
  });

  it.each([
    [400, -32020],
    [400, -32021],
    [400, -32022],
    [404, -32601],
    [200, -32602],
  ])(
    'passes an error on that comes with HTTP %i and code %i, whether or not it names the request',
    async (status, code) => {
      const { opener } = await serve('modern');
      const upstream = await open(opener);
      for (const names of [true, false]) {
        intercept = (_request, response, message) => {
          const error = { code, message: 'no', data: { supported: ['x'] } };
          response
            .writeHead(status, { 'content-type': 'application/json' })
            .end(JSON.stringify({ jsonrpc: '2.0', id: names ? message?.id : null, error }));
          return true;
        };
        expect(await call(upstream, 'echo')).toEqual({ error: { code, message: 'no', data: { supported: ['x'] } } });
      }
    },
  );

  it.each([401, 403])('L6: takes HTTP %i for a refused credential, whatever the body says', async (status) => {
    const { opener } = await serve('modern');
    const upstream = await open(opener);
    intercept = (_request, response, message) => {
      const error = { code: -32602, message: 'no' };
      response.writeHead(status).end(JSON.stringify({ jsonrpc: '2.0', id: message?.id, error }));
      return true;
    };
    await expect(call(upstream, 'echo')).rejects.toMatchObject({
      code: 'ERR_CONNECTOR_UNREACHABLE',
      message: expect.stringContaining('refused access'),
    });
  });

  it('passes a result on that asks for input', async () => {
    const { opener } = await serve('modern');
    const upstream = await open(opener);
    const result = { resultType: 'input_required', requestState: 's', inputRequests: { a: { method: 'roots/list' } } };
    intercept = (_request, response, message) => {
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ jsonrpc: '2.0', id: message?.id, result }));
      return true;
    };
    expect(await call(upstream, 'echo')).toEqual({ result, resultText: JSON.stringify(result) });
  });

  it('refuses a server that asks in the middle of a request', async () => {
    const { opener } = await serve('modern');
    const upstream = await open(opener);
    const asked: string[] = [];
    const client = {
      notify: () => {},
      ask: async (method: string) => {
        asked.push(method);
        return { result: {} };
      },
    };
    await expect(call(upstream, 'elicit', { client })).rejects.toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL' });
    expect(asked).toEqual([]);
  });

  it('cancels by closing the stream, and sends nothing', async () => {
    const { server, opener } = await serve('modern');
    const upstream = await open(opener);
    const cancellation = new Cancellation();
    let isClosed = false;
    intercept = (_request, response, message) => {
      if (message?.method !== 'hang') return false;
      response.on('close', () => {
        isClosed = true;
      });
      response
        .writeHead(200, { 'content-type': 'text/event-stream' })
        .write(':\n\n', () => cancellation.cancel('enough'));
      return true;
    };
    await expect(call(upstream, 'hang', { cancellation })).rejects.toThrow('enough');
    await expect.poll(() => isClosed).toBe(true);
    expect(methods(server)).toEqual(['server/discover', 'hang']);
  });

  it('I2: does not resume a stream that ends before its reply', async () => {
    const { server, opener } = await serve('modern');
    const upstream = await open(opener);
    intercept = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end('id: 1\nretry: 1\ndata:\n\n');
      return true;
    };
    await expect(call(upstream, 'echo')).rejects.toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
    expect(server.seen.map((seen) => seen.verb)).toEqual(['POST', 'POST']);
  });

  it('listens under an id of its own, takes only what is tagged with it, and takes the tag off', async () => {
    const { server, opener } = await serve('modern');
    const upstream = await open(opener);
    await upstream.watch({ lists: true, resources: ['x://1'] });
    const listen = server.seen.at(-1);
    expect(listen).toMatchObject({
      headers: { 'mcp-method': 'subscriptions/listen' },
      message: {
        params: {
          notifications: {
            toolsListChanged: true,
            promptsListChanged: true,
            resourcesListChanged: true,
            resourceSubscriptions: ['x://1'],
          },
        },
      },
    });
    const [session] = server.sessions.values();
    const listens = (session as unknown as { listens: Map<number, { write: (text: string) => void }> }).listens;
    const [[id, { write }] = [0, { write: () => {} }]] = listens;
    const note = (tag: unknown, more: object): string =>
      JSON.stringify({
        jsonrpc: '2.0',
        method: 'notifications/tools/list_changed',
        params: { ...more, _meta: { 'io.modelcontextprotocol/subscriptionId': tag, kept: 1 } },
      });
    write(note(id + 1, { foreign: true }));
    write('{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}');
    write(note(id, { own: true }));
    await expect
      .poll(() => told)
      .toEqual([{ method: 'notifications/tools/list_changed', params: { own: true, _meta: { kept: 1 } } }]);
  });

  it('fault 28: listens again when the stream ends, under a new id', async () => {
    const { server, opener } = await serve('modern');
    const upstream = await open(opener);
    let streams = 0;
    intercept = (_request, response, message) => {
      if (message?.method !== 'subscriptions/listen') return false;
      streams += 1;
      if (streams > 1) return false;
      response.on('close', () => {});
      const _meta = { 'io.modelcontextprotocol/subscriptionId': message.id };
      const acknowledged = {
        method: 'notifications/subscriptions/acknowledged',
        params: { notifications: { toolsListChanged: true }, _meta },
      };
      response
        .writeHead(200, { 'content-type': 'text/event-stream' })
        .end(`retry: 100\ndata: ${JSON.stringify({ jsonrpc: '2.0', ...acknowledged })}\n\n`);
      return true;
    };
    await upstream.watch({ lists: true, resources: [] });
    await expect.poll(() => streams).toBe(2);
    const ids = server.seen
      .filter((seen) => seen.message?.method === 'subscriptions/listen')
      .map((seen) => seen.message?.id);
    expect(new Set(ids).size).toBe(2);
    await expect.poll(() => server.sessions.get('modern undefined')?.received.length).toBeGreaterThan(1);
    await call(upstream, 'change');
    await expect.poll(() => told.map(({ method }) => method)).toEqual(['notifications/tools/list_changed']);
  });

  it('asks no more of a server that cannot be listened to', async () => {
    const { server, opener } = await serve('modern');
    const upstream = await open(opener);
    intercept = (_request, response, message) => {
      if (message?.method !== 'subscriptions/listen') return false;
      const error = { code: -32601, message: 'no' };
      response.writeHead(404).end(JSON.stringify({ jsonrpc: '2.0', id: message.id, error }));
      return true;
    };
    await upstream.watch({ lists: true, resources: [] });
    await expect(upstream.watch({ lists: true, resources: ['x://1'] })).rejects.toMatchObject({
      code: 'ERR_CONNECTOR_PROTOCOL',
    });
    expect(methods(server).filter((method) => method === 'subscriptions/listen')).toHaveLength(2);
  });
});

describe('the era of a server', () => {
  it.each([
    ['modern', 'legacy', 'modern', ['initialize', 'server/discover', 'server/discover']],
    ['modern', 'modern', 'modern', ['server/discover', 'server/discover']],
    [
      'dual',
      'legacy',
      'legacy',
      ['initialize', 'notifications/initialized', 'initialize', 'notifications/initialized'],
    ],
    ['dual', 'modern', 'modern', ['server/discover', 'server/discover']],
    [
      '2025-11-25',
      'legacy',
      'legacy',
      ['initialize', 'notifications/initialized', 'initialize', 'notifications/initialized'],
    ],
    [
      '2025-11-25',
      'modern',
      'legacy',
      ['server/discover', 'initialize', 'notifications/initialized', 'initialize', 'notifications/initialized'],
    ],
  ] as const)(
    'a %s server is opened, where %s is preferred, in %s, and asked once',
    async (version, prefer, era, said) => {
      const { server, opener } = await serve(version);
      for (let count = 0; count < 2; count += 1) {
        const upstream = await open(opener, prefer);
        expect(upstream.era).toBe(era);
        expect(await call(upstream, 'echo')).toMatchObject({ result: { echo: {} } });
      }
      // The rest is the end of a session that a server of this fake gives whoever initialises.
      const asked = methods(server).filter((method) => method !== 'echo' && method !== undefined);
      expect(asked).toEqual(said);
    },
  );

  it.each([
    [400, 'Bad Request'],
    [404, ''],
    [405, ''],
    [400, '{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Mcp-Session-Id header is required"}}'],
    [200, '{"jsonrpc":"2.0","id":$ID,"error":{"code":-32601,"message":"Method not found"}}'],
    [400, '{"jsonrpc":"2.0","id":$ID,"error":{"code":-32022,"message":"no"}}'],
  ])('a legacy server may answer server/discover with HTTP %i %s', async (status, body) => {
    const { opener } = await serve('2025-06-18');
    intercept = (_request, response, message) => {
      if (message?.method !== 'server/discover') return false;
      response.writeHead(status, { 'content-type': 'application/json' }).end(body.replace('$ID', String(message.id)));
      return true;
    };
    expect((await open(opener)).era).toBe('legacy');
  });

  it.each([
    [400, 'Bad Request'],
    [404, ''],
    [404, '{"jsonrpc":"2.0","id":$ID,"error":{"code":-32601,"message":"no"}}'],
    [400, '{"jsonrpc":"2.0","id":$ID,"error":{"code":-32020,"message":"no"}}'],
  ])('a modern server may answer initialize with HTTP %i %s', async (status, body) => {
    const { opener } = await serve('modern');
    intercept = (_request, response, message) => {
      if (message?.method !== 'initialize') return false;
      response.writeHead(status, { 'content-type': 'application/json' }).end(body.replace('$ID', String(message.id)));
      return true;
    };
    expect((await open(opener, 'legacy')).era).toBe('modern');
  });

  it.each([401, 403, 500, 503])('is not guessed from HTTP %i', async (status) => {
    const { server, opener } = await serve('dual');
    intercept = (_request, response) => response.writeHead(status).end() !== undefined;
    await expect(open(opener)).rejects.toMatchObject({ message: expect.stringContaining(`${status}`) });
    expect(methods(server)).toEqual(['server/discover']);
  });

  it('is asked for anew when a server has changed', async () => {
    let version = 'legacy';
    const { opener } = await serve('dual');
    intercept = (_request, response, message) => {
      const refused = version === 'legacy' ? 'server/discover' : 'initialize';
      return message?.method === refused && response.writeHead(404).end() !== undefined;
    };
    expect((await open(opener)).era).toBe('legacy');
    version = 'modern';
    await expect(open(opener)).rejects.toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
    expect((await open(opener)).era).toBe('modern');
  });

  it.each([
    ['legacy', 'modern'],
    ['modern', '2025-11-25'],
  ] as const)('is not asked for where it is fixed to %s', async (protocol, version) => {
    const { server, opener } = await serve(version, { protocol });
    await expect(open(opener, 'modern')).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_CONNECTOR_/) });
    expect(methods(server).filter((method) => method !== undefined)).toHaveLength(1);
  });
});
