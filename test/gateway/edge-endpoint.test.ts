import { once } from 'node:events';
import { request } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RemitError } from '../../src/domain/errors.ts';
import { type FakeEdge, modernBody, modernHeaders, startEdge } from '../support/fake-edge-parts.ts';

const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
const LIST = modernBody('tools/list');
const LIST_HEADERS = modernHeaders('tools/list');

let edge: FakeEdge;
beforeAll(async () => {
  edge = await startEdge();
});
afterAll(() => edge.close());
beforeEach(() => {
  for (const list of [edge.legacy, edge.handled, edge.records, edge.refusals, edge.errors]) list.length = 0;
});

describe('who asks', () => {
  it.each(['POST', 'GET', 'DELETE', 'PUT'])('D1: %s without a token is 401, whatever the path', async (verb) => {
    for (const path of ['/mcp', '/mcp/shop', '/mcp/unknown']) {
      const answer = await edge.send(verb === 'POST' ? PING : undefined, { verb, path, without: ['authorization'] });
      expect(answer).toMatchObject({ status: 401, body: { error: { code: -32001 } } });
      expect(answer.headers['www-authenticate']).toContain('missing_token');
    }
    expect(edge.legacy).toEqual([]);
    expect(edge.refusals).toEqual([]);
  });

  it('D1: a token that is refused is recorded', async () => {
    expect((await edge.send(PING, { headers: ['Authorization', 'Bearer other'] })).status).toBe(401);
    expect(edge.refusals).toEqual([{ at: 'mcp', reason: 'bad token' }]);
  });

  it.each(['access_token=tsk_a', 'x=1&access_token=', '%61ccess_token=tsk_a'])(
    'D1: a token in the address is refused beside a good header too: %s',
    async (query) => {
      const answer = await edge.send(PING, { path: `/mcp?${query}` });
      expect(answer).toMatchObject({ status: 400, body: { error: { code: -32600 } } });
      expect(answer.text).not.toContain('tsk_a');
      expect(edge.refusals).toEqual([{ at: 'mcp', reason: 'token in a query string' }]);
      expect(edge.legacy).toEqual([]);
    },
  );

  it('V2: a task that ends while its body is on the way is not served', async () => {
    const call = request({
      port: edge.port,
      host: '127.0.0.1',
      path: '/mcp',
      method: 'POST',
      headers: { Authorization: 'Bearer tsk_b', 'Content-Type': 'application/json', 'Content-Length': PING.length },
    });
    call.write(PING.slice(0, 10));
    // Served in order: when this one is answered, the other's head has been read.
    await edge.send(PING);
    const task = edge.tasks.get('tsk_b' as never);
    edge.tasks.delete('tsk_b' as never);
    call.end(PING.slice(10));
    const [response] = await once(call, 'response');
    expect(response.statusCode).toBe(401);
    // Not `bad token`: it was a task when its head was read.
    expect(String(await once(response, 'data'))).toContain('task tsk_b has ended');
    edge.tasks.set('tsk_b' as never, task as never);
    expect(edge.legacy).toHaveLength(1);
  });
});

describe('paths', () => {
  it('A07: the path alone names the connector, no header does', async () => {
    const tempting = [
      'X-Forwarded-Host',
      'docs',
      'X-Remit-Connector',
      'docs',
      'Mcp-Param-Connector',
      'docs',
      'Forwarded',
      'host=docs',
    ];
    await edge.send(PING, { headers: tempting });
    await edge.send(PING, { path: '/mcp/shop', headers: tempting });
    await edge.send(LIST, { path: '/mcp/shop?x=1', headers: [...LIST_HEADERS, ...tempting] });
    expect(edge.legacy.map(({ scope }) => scope)).toEqual([undefined, 'shop']);
    expect(edge.handled.map(({ scope }) => scope)).toEqual(['shop']);
  });

  it.each(['/mcp/other', '/mcp/', '/mcp/shop/', '/mcp/SHOP', '/mcp/%73hop', '/mcp/../mcp', '/mcpx'])(
    'D1: %s is no connector: 404',
    async (path) => {
      expect(await edge.send(PING, { path })).toMatchObject({ status: 404, body: { error: { code: -31000 } } });
      expect(edge.legacy).toEqual([]);
    },
  );
});

describe('HTTP', () => {
  it.each(['text/plain', 'application/json-patch+json', 'application/jsonx', 'text/html; application/json', ''])(
    'Content-Type %j: 415',
    async (type) => {
      expect((await edge.send(PING, { headers: ['Content-Type', type] })).status).toBe(415);
    },
  );

  it('Content-Type and Accept as clients send them are served', async () => {
    for (const type of ['application/json; charset=utf-8', 'Application/JSON', 'application/json ;charset=utf-8']) {
      expect((await edge.send(PING, { headers: ['Content-Type', type] })).status).toBe(200);
    }
    for (const accept of ['*/*', 'application/*', 'application/json', 'text/event-stream,application/json;q=0.9']) {
      expect((await edge.send(PING, { headers: ['Accept', accept] })).status).toBe(200);
    }
    expect((await edge.send(PING, { without: ['accept'] })).status).toBe(200);
  });

  it('Accept without JSON: 406', async () => {
    for (const accept of ['text/html', 'text/event-stream', 'application/jsonp']) {
      expect((await edge.send(PING, { headers: ['Accept', accept] })).status).toBe(406);
    }
  });

  it('GET and DELETE go to the legacy edge; with the modern revision they are 405, with an unknown one −32022', async () => {
    for (const verb of ['GET', 'DELETE']) {
      expect((await edge.send(undefined, { verb, path: '/mcp/docs' })).text).toContain('legacy');
      const modern = await edge.send(undefined, { verb, headers: ['MCP-Protocol-Version', '2026-07-28'] });
      expect(modern).toMatchObject({ status: 405, headers: { allow: 'POST' } });
      const unknown = await edge.send(undefined, { verb, headers: ['MCP-Protocol-Version', '1999-01-01'] });
      expect(unknown).toMatchObject({ status: 400, body: { error: { code: -32022 } } });
    }
    expect(edge.legacy.map(({ verb, scope }) => [verb, scope])).toEqual([
      ['GET', 'docs'],
      ['DELETE', 'docs'],
    ]);
    expect(await edge.send('x', { verb: 'PUT' })).toMatchObject({
      status: 405,
      headers: { allow: 'GET, POST, DELETE' },
    });
  });
});

describe('bodies', () => {
  it.each([
    ['A12: a member twice', '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}'],
    ['A12: a member in another case', '{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}'],
    ['fault 36: a number beyond 2^53', '{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}'],
    [
      'fault 36: depth 10,000',
      `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":${'['.repeat(10_000)}${']'.repeat(10_000)}}}`,
    ],
    ['nothing', ''],
  ])('%s: 400 and −32700, in both eras', async (_, body) => {
    for (const headers of [[], LIST_HEADERS]) {
      expect(await edge.send(body, { headers })).toMatchObject({
        status: 400,
        body: { id: null, error: { code: -32700 } },
      });
    }
    expect(edge.legacy).toEqual([]);
    expect(edge.handled).toEqual([]);
  });

  it('fault 36: 20 MB are refused by what they say, and by what they are', async () => {
    const said = await edge.send(PING, { headers: ['Content-Length', '20000000'] }).catch((error: Error) => error);
    expect(said).toMatchObject({ status: 413 });
    const body = `"${'x'.repeat(200_000)}"`;
    const chunked = await edge.send(body, { without: ['content-length'], headers: ['Transfer-Encoding', 'chunked'] });
    expect(chunked.status).toBe(413);
  });

  it('a client that leaves in the middle of its body leaves nothing behind', async () => {
    const call = request({
      port: edge.port,
      host: '127.0.0.1',
      path: '/mcp',
      method: 'POST',
      headers: { Authorization: 'Bearer tsk_a', 'Content-Type': 'application/json', 'Content-Length': PING.length },
    });
    call.on('error', () => {});
    call.write(PING.slice(0, 10));
    await edge.send(PING);
    await new Promise((resolve) => call.on('close', resolve).destroy());
    await edge.send(PING);
    expect(edge.legacy).toHaveLength(2);
    expect(edge.errors).toEqual([]);
  });

  it('a body in many pieces is read whole', async () => {
    const call = request({
      port: edge.port,
      host: '127.0.0.1',
      path: '/mcp',
      method: 'POST',
      headers: { Authorization: 'Bearer tsk_a', 'Content-Type': 'application/json', 'Transfer-Encoding': 'chunked' },
    });
    for (const piece of PING.match(/.{1,7}/g) ?? []) {
      call.write(piece);
      await new Promise((next) => setImmediate(next));
    }
    call.end();
    const [response] = await once(call, 'response');
    expect(response.statusCode).toBe(200);
    response.resume();
    expect(edge.legacy[0]?.body).toEqual(JSON.parse(PING));
  });
});

describe('eras', () => {
  it.each([
    ['no version', PING, []],
    ['a legacy version', PING, ['MCP-Protocol-Version', '2025-06-18']],
    ['a batch', `[${PING}]`, []],
    ['initialize', '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2026-07-28"}}', []],
    ['a response', '{"jsonrpc":"2.0","id":1,"result":{}}', []],
    ['what is no message at all', '17', []],
  ])('legacy: %s', async (_, body, headers) => {
    expect((await edge.send(body, { headers })).text).toContain('legacy');
    expect(edge.legacy[0]?.body).toEqual(JSON.parse(body));
  });

  it.each([
    ['unknown in the header', PING, ['MCP-Protocol-Version', '2027-01-01'], -32022],
    [
      'unknown in the body',
      modernBody('x', {}, { 'io.modelcontextprotocol/protocolVersion': '2027-01-01' }),
      [],
      -32022,
    ],
    ['unknown for a batch', `[${PING}]`, ['MCP-Protocol-Version', '2027-01-01'], -32022],
    [
      'A13: modern in the header, unknown in the body',
      modernBody('x', {}, { 'io.modelcontextprotocol/protocolVersion': 'v9' }),
      modernHeaders('x'),
      -32020,
    ],
    ['A13: legacy in the header, modern in the body', LIST, ['MCP-Protocol-Version', '2025-11-25'], -32020],
    [
      'a legacy revision in an envelope',
      modernBody('x', {}, { 'io.modelcontextprotocol/protocolVersion': '2025-11-25' }),
      [],
      -32602,
    ],
    ['a modern batch', `[${PING}]`, ['MCP-Protocol-Version', '2026-07-28'], -32600],
    ['a modern message in a batch', `[${PING},${LIST}]`, [], -32600],
    ['server/discover that says no version', '{"jsonrpc":"2.0","id":1,"method":"server/discover"}', [], -32602],
    ['a modern version and no envelope', PING, modernHeaders('ping'), -32602],
    [
      'an envelope whose version is no text',
      modernBody('x', {}, { 'io.modelcontextprotocol/protocolVersion': 5 }),
      [],
      -32602,
    ],
  ])('refused with 400: %s', async (_, body, headers, code) => {
    expect(await edge.send(body, { headers })).toMatchObject({ status: 400, body: { error: { code } } });
    expect(edge.legacy).toEqual([]);
    expect(edge.handled).toEqual([]);
  });

  it('an unknown version is answered with all that are known, under the request’s id', async () => {
    const answer = await edge.send(PING, { headers: ['MCP-Protocol-Version', '1999-01-01'] });
    expect(answer.body).toMatchObject({
      id: 1,
      error: { data: { supported: ['2026-07-28', '2025-11-25', '2025-06-18', '2025-03-26'], requested: '1999-01-01' } },
    });
  });

  it.each([
    ['another method', PING, ['Mcp-Method', 'tools/call']],
    ['another name', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}', ['Mcp-Name', 'b']],
    ['something of a batch', `[${PING}]`, ['Mcp-Method', 'ping']],
  ])('A13 fault 35: a legacy header that names %s: −32020', async (_, body, headers) => {
    expect(await edge.send(body, { headers })).toMatchObject({ status: 400, body: { error: { code: -32020 } } });
    expect(edge.legacy).toEqual([]);
  });
});

describe('faults', () => {
  it('A3: a fault on the way is 503, and says that nothing was forwarded', async () => {
    const broken = await startEdge({
      record: async () => {
        throw new RemitError('ERR_JOURNAL_FULL', 'no space left at /secret/place');
      },
    });
    try {
      const answer = await broken.send(modernBody('ping'), { headers: modernHeaders('ping') });
      expect(answer).toMatchObject({ status: 503, body: { id: 1, error: { code: -31000 } } });
      expect(answer.body.error.message).toContain('ERR_JOURNAL_FULL');
      expect(answer.text).not.toContain('/secret/place');
    } finally {
      await broken.close();
    }
  });
});
