import { afterEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import type { ClientRequest } from '../../src/gateway/client-request.ts';
import {
  complete,
  type EdgeOptions,
  type FakeEdge,
  modernBody,
  modernHeaders,
  startEdge,
} from '../support/fake-edge-parts.ts';

let edge: FakeEdge;
const start = async (options: EdgeOptions = {}): Promise<void> => {
  edge = await startEdge(options);
};
afterEach(() => edge.close());

const CALL = { name: 'shop__orders', arguments: { id: 7 } };
const base64 = (text: string): string => `=?base64?${Buffer.from(text).toString('base64')}?=`;
const send = (method: string, params: JsonObject = {}, meta: JsonObject = {}, ...headers: string[]) =>
  edge.send(modernBody(method, params, meta), { headers: modernHeaders(method, ...headers) });

describe('the envelope', () => {
  const META = 'io.modelcontextprotocol/';
  it.each([
    ['no _meta', '{}'],
    ['_meta that is no object', '{"_meta":[]}'],
    ['no version', `{"_meta":{"${META}clientCapabilities":{}}}`],
    ['no capabilities', `{"_meta":{"${META}protocolVersion":"2026-07-28"}}`],
    [
      'capabilities that are no object',
      `{"_meta":{"${META}protocolVersion":"2026-07-28","${META}clientCapabilities":[]}}`,
    ],
    [
      'a log level that is none',
      `{"_meta":{"${META}protocolVersion":"2026-07-28","${META}clientCapabilities":{},"${META}logLevel":"loud"}}`,
    ],
    [
      'a progress token that is none',
      `{"_meta":{"${META}protocolVersion":"2026-07-28","${META}clientCapabilities":{},"progressToken":{}}}`,
    ],
  ])('%s: 400 and −32602 under the request’s id', async (_, params) => {
    await start();
    const body = `{"jsonrpc":"2.0","id":"q","method":"tools/list","params":${params}}`;
    const answer = await edge.send(body, { headers: modernHeaders('tools/list') });
    expect(answer).toMatchObject({ status: 400, body: { id: 'q', error: { code: -32602 } } });
    expect(edge.handled).toEqual([]);
  });

  it('is read into the request, and clientInfo is not asked for', async () => {
    await start();
    const meta = {
      [`${META}clientCapabilities`]: { elicitation: {}, roots: true },
      [`${META}logLevel`]: 'error',
      progressToken: 0,
    };
    expect((await send('tools/list', { cursor: 'c' }, meta)).status).toBe(200);
    const request = edge.handled[0] as ClientRequest;
    expect(request).toMatchObject({
      era: 'modern',
      protocolVersion: '2026-07-28',
      id: 1,
      method: 'tools/list',
      params: { cursor: 'c' },
      scope: undefined,
      logLevel: 'error',
      progressToken: 0,
      session: undefined,
    });
    expect(request.client.canAnswer('elicitation/create')).toBe(true);
    expect(request.client.canAnswer('roots/list')).toBe(false);
    expect(request.client.canAnswer('sampling/createMessage')).toBe(false);
  });

  it('A14: identity that a client claims in _meta or in a header makes it nobody else', async () => {
    let seen: unknown;
    await start({
      handle(_, caller) {
        seen = caller;
        return complete();
      },
    });
    await send(
      'tools/list',
      {},
      {
        'io.modelcontextprotocol/clientInfo': { name: 'root', version: '1' },
        user: 'boss',
        tenant: 'other',
        task: 'tsk_b',
        agent: 'admin',
      },
      'X-Remit-Task',
      'tsk_b',
      'X-Forwarded-User',
      'boss',
    );
    expect(seen).toMatchObject({
      principal: { task: 'tsk_a', agent: 'helper', tenant: 'default', user: undefined },
      task: { id: 'tsk_a' },
    });
  });

  it('A17: a session id and a Last-Event-ID say nothing', async () => {
    await start();
    expect((await send('tools/list', {}, {}, 'Mcp-Session-Id', 'stolen', 'Last-Event-ID', '7')).status).toBe(200);
    expect(edge.handled[0]?.session).toBeUndefined();
    expect(edge.legacy).toEqual([]);
  });
});

describe('A13 fault 35: headers that do not say what the body says: 400 and −32020', () => {
  const version = ['MCP-Protocol-Version', '2026-07-28'];
  it.each([
    ['no version', 'tools/list', {}, ['Mcp-Method', 'tools/list']],
    ['no method', 'tools/list', {}, version],
    ['another method', 'tools/list', {}, [...version, 'Mcp-Method', 'prompts/list']],
    ['the method in another case', 'tools/list', {}, [...version, 'Mcp-Method', 'TOOLS/LIST']],
    ['no name', 'tools/call', CALL, modernHeaders('tools/call')],
    ['another name', 'tools/call', CALL, modernHeaders('tools/call', 'Mcp-Name', 'shop__refunds')],
    ['another name in base64', 'tools/call', CALL, modernHeaders('tools/call', 'Mcp-Name', base64('shop__refunds'))],
    ['base64 of nothing', 'tools/call', CALL, modernHeaders('tools/call', 'Mcp-Name', '=?base64??=')],
    [
      'base64 without its padding',
      'tools/call',
      CALL,
      modernHeaders('tools/call', 'Mcp-Name', '=?base64?c2hvcF9fb3JkZXJ?='),
    ],
    [
      'base64 with other characters',
      'tools/call',
      CALL,
      modernHeaders('tools/call', 'Mcp-Name', '=?base64?c2hv!!!fb3JkZXJz?='),
    ],
    [
      'base64 with bits to spare',
      'tools/call',
      { name: 'ab' },
      modernHeaders('tools/call', 'Mcp-Name', '=?base64?YWJ=?='),
    ],
    [
      'base64 of what is no UTF-8',
      'tools/call',
      { name: '\ufffd' },
      modernHeaders('tools/call', 'Mcp-Name', '=?base64?/w==?='),
    ],
    ['another prompt', 'prompts/get', { name: 'a' }, modernHeaders('prompts/get', 'Mcp-Name', 'b')],
    [
      'another resource',
      'resources/read',
      { uri: 'docs://a' },
      modernHeaders('resources/read', 'Mcp-Name', 'docs://b'),
    ],
    ['no resource', 'resources/read', { uri: 'docs://a' }, modernHeaders('resources/read')],
    ['another McpTask', 'tasks/get', { taskId: 'a' }, modernHeaders('tasks/get', 'Mcp-Name', 'b')],
    ['no McpTask', 'tasks/cancel', { taskId: 'a' }, modernHeaders('tasks/cancel')],
  ])('%s', async (_, method, params, headers) => {
    await start();
    const answer = await edge.send(modernBody(method, params, {}, 'i'), { headers });
    expect(answer).toMatchObject({ status: 400, body: { id: 'i', error: { code: -32020 } } });
    expect(edge.handled).toEqual([]);
  });

  it.each([
    ['plain', 'shop__orders', 'shop__orders'],
    ['in base64', 'shop__orders', base64('shop__orders')],
    ['in base64, as it must be', 'Bücher – 本', base64('Bücher – 本')],
    ['with space around it', 'shop__orders', '  shop__orders  '],
    ['like base64 without its end', '=?base64?SGVsbG8=', '=?base64?SGVsbG8='],
    ['like base64 without its beginning', 'SGVsbG8=?=', 'SGVsbG8=?='],
  ])('a name %s agrees', async (_, name, header) => {
    await start();
    const answer = await edge.send(modernBody('tools/call', { name }), {
      headers: modernHeaders('tools/call', 'Mcp-Name', header),
    });
    expect(answer.status).toBe(200);
    expect(edge.handled[0]?.params.name).toBe(name);
  });

  it('names of headers have no case, and a method without a name needs none', async () => {
    await start();
    const headers = ['mcp-protocol-version', '2026-07-28', 'MCP-METHOD', 'tools/list', 'mcp-name', 'whatever'];
    expect((await edge.send(modernBody('tools/list'), { headers })).status).toBe(200);
  });
});

describe('messages', () => {
  it.each(['initialize', 'ping', 'logging/setLevel', 'resources/subscribe', 'resources/unsubscribe', 'tasks/list'])(
    'D1: %s is no more: 404, −32601, and a denial on record',
    async (method) => {
      await start();
      expect(await send(method)).toMatchObject({ status: 404, body: { id: 1, error: { code: -32601 } } });
      expect(edge.handled).toEqual([]);
      expect(edge.records).toMatchObject([
        { type: 'decision', task: 'tsk_a', detail: { verdict: 'deny', policies: ['remit:method'], method } },
      ]);
    },
  );

  it('notifications are accepted, and answered with nothing', async () => {
    await start();
    const note = '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}';
    const answer = await edge.send(note, { headers: ['MCP-Protocol-Version', '2026-07-28'] });
    expect(answer).toMatchObject({ status: 202, text: '' });
    expect(answer.headers['content-type']).toBeUndefined();
    const other = await edge.send(note, { headers: modernHeaders('tools/call') });
    expect(other).toMatchObject({ status: 400, body: { error: { code: -32020 } } });
    expect(edge.handled).toEqual([]);
  });

  it.each([
    ['a response', '{"jsonrpc":"2.0","id":1,"result":{}}', -32600],
    ['no JSON-RPC', '{"id":1,"method":"tools/list"}', -32600],
    ['an id of null', '{"jsonrpc":"2.0","id":null,"method":"tools/list"}', -32600],
    ['params that are a list', '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[]}', -32602],
  ])('%s: 400', async (_, body, code) => {
    await start();
    const answer = await edge.send(body, { headers: modernHeaders('tools/list') });
    expect(answer).toMatchObject({ status: 400, body: { error: { code } } });
  });

  it('server/discover says what is spoken and offered, for this caller alone', async () => {
    await start();
    expect(await send('server/discover')).toMatchObject({
      status: 200,
      body: {
        id: 1,
        result: {
          resultType: 'complete',
          supportedVersions: ['2026-07-28', '2025-11-25', '2025-06-18', '2025-03-26'],
          capabilities: { tools: { listChanged: true } },
          instructions: 'read this',
          ttlMs: 60_000,
          cacheScope: 'private',
          _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'remit', version: '1.2.3' } },
        },
      },
    });
  });
});
