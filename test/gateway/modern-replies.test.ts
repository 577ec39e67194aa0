import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import { refuse } from '../../src/domain/refusal.ts';
import type { ClientRequest } from '../../src/gateway/client-request.ts';
import {
  complete,
  type EdgeOptions,
  type FakeEdge,
  modernBody,
  modernHeaders,
  startEdge,
} from '../support/fake-edge-parts.ts';
import { decision } from '../support/fake-gateway-parts.ts';

let edge: FakeEdge;
const start = async (options: EdgeOptions = {}): Promise<void> => {
  edge = await startEdge(options);
};
afterEach(() => edge.close());

const CALL = { name: 'shop__orders', arguments: { id: 7 } };
const CALL_HEADERS = modernHeaders('tools/call', 'Mcp-Name', 'shop__orders');
const send = (method: string, params: JsonObject = {}, meta: JsonObject = {}, ...headers: string[]) =>
  edge.send(modernBody(method, params, meta), { headers: modernHeaders(method, ...headers) });

describe('replies', () => {
  it.each([
    ['a result', complete({ x: 1 }), 200, { result: { resultType: 'complete', x: 1 } }],
    ['an unknown method', { reply: { error: { code: -32601, message: 'm' } } }, 404, { error: { code: -32601 } }],
    [
      'a capability that the client lacks',
      { reply: { error: { code: -32021, message: 'm', data: { requiredCapabilities: { sampling: {} } } } } },
      400,
      { error: { code: -32021, data: { requiredCapabilities: { sampling: {} } } } },
    ],
    [
      'invalid parameters',
      { reply: { error: { code: -32602, message: 'm', data: { uri: 'u' } } } },
      200,
      { error: { code: -32602, data: { uri: 'u' } } },
    ],
    ['a mismatch further on', { reply: { error: { code: -32020, message: 'm' } } }, 200, { error: { code: -32020 } }],
    [
      'an unknown tool',
      { reply: refuse({ kind: 'malformed', rpcCode: -32602, reason: 'no tool' }) },
      200,
      { error: { code: -32602, message: 'no tool' } },
    ],
    [
      'a task that has ended',
      { reply: refuse({ kind: 'unauthenticated', error: 'invalid_token', reason: 'ended' }) },
      401,
      { error: { code: -32001 } },
    ],
    [
      'a denial',
      { reply: refuse({ kind: 'denied', decision: decision('deny') }) },
      200,
      { result: { resultType: 'complete', isError: true, _meta: { 'io.remit/decision': { verdict: 'deny' } } } },
    ],
    [
      'a connector that is down',
      { reply: refuse({ kind: 'unavailable', reason: 'down', nextStep: 'wait', code: 'ERR_X' }) },
      200,
      { result: { resultType: 'complete', isError: true } },
    ],
    [
      'an error that cannot be written out',
      { reply: { error: { code: 1, message: 'm', data: 1n } } },
      200,
      { error: { code: -31000, message: expect.stringContaining('may have had its effect') } },
    ],
  ])('%s', async (_, answer, status, body) => {
    await start({ handle: () => answer as never });
    expect(await send('tools/call', CALL, {}, 'Mcp-Name', CALL.name)).toMatchObject({
      status,
      body: { jsonrpc: '2.0', id: 1, ...body },
    });
  });

  it('a denial of what is no tool is an error that a program can read', async () => {
    await start({
      handle: () => ({ reply: refuse({ kind: 'denied', decision: decision('deny', { reason: 'not yours' }) }) }),
    });
    const answer = await send('resources/read', { uri: 'docs://a' }, {}, 'Mcp-Name', 'docs://a');
    expect(answer).toMatchObject({
      status: 200,
      body: {
        error: {
          code: -31001,
          message: expect.stringContaining('not yours'),
          data: { 'io.remit/decision': { verdict: 'deny' } },
        },
      },
    });
  });

  it('a fault is 503 under the request’s id, without its message', async () => {
    await start({
      handle() {
        throw new Error('secret place');
      },
    });
    const answer = await edge.send(modernBody('tools/call', CALL, {}, 'abc'), { headers: CALL_HEADERS });
    expect(answer).toMatchObject({ status: 503, body: { id: 'abc', error: { code: -31000 } } });
    expect(answer.text).not.toContain('secret place');
  });

  it('a large result goes out in its pieces', async () => {
    async function* chunks(): AsyncGenerator<Buffer> {
      yield Buffer.from('{"resultType":"complete",');
      yield Buffer.from('"text":"…"}');
    }
    await start({ handle: () => ({ reply: { resultChunks: chunks() } }) });
    expect((await send('tools/list')).body).toEqual({
      jsonrpc: '2.0',
      id: 1,
      result: { resultType: 'complete', text: '…' },
    });
  });

  it('A1: the outcome is recorded once, after the reply is on its way', async () => {
    const order: string[] = [];
    async function* chunks(): AsyncGenerator<Buffer> {
      yield Buffer.from('{');
      await new Promise((next) => setImmediate(next));
      yield Buffer.from('}');
      order.push('reply');
    }
    await start({ handle: () => ({ reply: { resultChunks: chunks() }, recordOutcome: () => order.push('outcome') }) });
    await send('tools/list');
    expect(order).toEqual(['reply', 'outcome']);
  });

  it('A1: a result that breaks off has its outcome all the same', async () => {
    const order: string[] = [];
    async function* chunks(): AsyncGenerator<Buffer> {
      yield Buffer.from('{"a":');
      throw new Error('broke off');
    }
    await start({ handle: () => ({ reply: { resultChunks: chunks() }, recordOutcome: () => order.push('outcome') }) });
    await expect(send('tools/list')).rejects.toThrow();
    expect(order).toEqual(['outcome']);
  });
});

describe('while a request is under way', () => {
  const note = (request: ClientRequest): void => {
    const { client } = request;
    client.notify('notifications/progress', { progressToken: 'other', progress: 1 });
    client.notify('notifications/progress', { progressToken: 'p', progress: 2 });
    client.notify('notifications/message', { level: 'info', data: 'quiet' });
    client.notify('notifications/message', { level: 'error', data: 'loud' });
    client.notify('notifications/message', { level: 'shouting', data: 'unknown' });
    client.notify('notifications/tools/list_changed', {});
  };
  const events = (text: string): JsonObject[] =>
    text
      .split('\n\n')
      .filter(Boolean)
      .map((event) => JSON.parse(event.replace('data: ', '')) as JsonObject);

  it('fault 32: progress under its own token, log messages of its level, and nothing else', async () => {
    await start({
      handle(request) {
        note(request);
        return complete();
      },
    });
    const answer = await send('tools/list', {}, { progressToken: 'p', 'io.modelcontextprotocol/logLevel': 'warning' });
    expect(answer.headers['content-type']).toBe('text/event-stream');
    expect(events(answer.text)).toEqual([
      { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 'p', progress: 2 } },
      { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'error', data: 'loud' } },
      { jsonrpc: '2.0', id: 1, result: { resultType: 'complete' } },
    ]);
  });

  it('who asked for neither gets one JSON reply', async () => {
    await start({
      handle(request) {
        note(request);
        return complete();
      },
    });
    const answer = await send('tools/list');
    expect(answer.headers['content-type']).toBe('application/json');
    expect(answer.body.result).toEqual({ resultType: 'complete' });
  });

  it('a question is never put on the stream', async () => {
    let answered: unknown;
    await start({
      async handle(request) {
        answered = await request.client.ask({
          connector: 'shop',
          method: 'roots/list',
          params: {},
          confirm: async () => true,
        } as never);
        return complete();
      },
    });
    const answer = await send('tools/list', {}, { 'io.modelcontextprotocol/clientCapabilities': { roots: {} } });
    expect(answered).toMatchObject({ error: { code: -32601 } });
    expect(answer.body.result).toEqual({ resultType: 'complete' });
  });

  it('a client that closes the response cancels the call, and its outcome is recorded', async () => {
    let reason = '';
    let recorded = (): void => {};
    const outcome = new Promise<void>((resolve) => {
      recorded = resolve;
    });
    await start({
      async handle(request) {
        request.client.notify('notifications/progress', { progressToken: 'p', progress: 1 });
        reason = await new Promise<string>((resolve) => request.cancellation.onCancel(resolve));
        return { ...complete(), recordOutcome: recorded };
      },
    });
    const response = await edge.open(modernBody('tools/list', {}, { progressToken: 'p' }), {
      headers: modernHeaders('tools/list'),
    });
    await once(response, 'data');
    response.destroy();
    await outcome;
    expect(reason).toBe('the client closed the response');
  });

  it('a reply that was received whole cancels nothing', async () => {
    await start();
    await send('tools/list');
    await send('tools/list');
    expect(edge.handled.map(({ cancellation }) => cancellation.isCancelled)).toEqual([false, false]);
  });

  it('fault 30: once the gateway stops, nothing new is begun', async () => {
    await start();
    edge.modern.drain();
    const answer = await send('tools/list');
    expect(answer).toMatchObject({
      status: 503,
      headers: { connection: 'close' },
      body: { id: 1, error: { code: -31000 } },
    });
    expect(edge.handled).toEqual([]);
  });
});
