import { describe, expect, it } from 'vitest';
import { idOf, readMessage } from '../../src/gateway/edge/read-message.ts';

const problem = (text: string): unknown => {
  const message = readMessage(JSON.parse(text));
  return 'problem' in message ? message.problem : message;
};

describe('messages', () => {
  it.each([
    ['a batch', '[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600],
    ['a text', '"ping"', -32600],
    ['null', 'null', -32600],
    ['no version', '{"id":1,"method":"ping"}', -32600],
    ['another version', '{"jsonrpc":2,"id":1,"method":"ping"}', -32600],
    ['neither method nor result', '{"jsonrpc":"2.0","id":1}', -32600],
    ['a method that is no string', '{"jsonrpc":"2.0","id":1,"method":5}', -32600],
    ['params that are no object', '{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}', -32602],
    ['params of null', '{"jsonrpc":"2.0","id":1,"method":"ping","params":null}', -32602],
    ['an id of null', '{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600],
    ['an id that is an object', '{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600],
  ])('%s is refused', (_name, text, rpcCode) => {
    expect(problem(text)).toMatchObject({ rpcCode });
  });

  it('requests, notifications and responses are told apart', () => {
    expect(readMessage({ jsonrpc: '2.0', id: 'x', method: 'ping' })).toEqual({
      kind: 'request',
      id: 'x',
      method: 'ping',
      params: {},
    });
    expect(readMessage({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } })).toEqual({
      kind: 'notification',
      method: 'notifications/cancelled',
      params: { requestId: 1 },
    });
    for (const message of [
      { jsonrpc: '2.0', id: 1, result: {} },
      { jsonrpc: '2.0', id: null, error: {} },
    ]) {
      expect(readMessage(message)).toEqual({ kind: 'response', id: message.id, message });
    }
  });

  it('what is wrong is answered under the id where there is one', () => {
    expect(problem('{"jsonrpc":"2.0","id":7,"method":5}')).toMatchObject({ id: 7 });
    expect([idOf({ id: 'a' }), idOf({ id: {} }), idOf([]), idOf(undefined)]).toEqual(['a', null, null, null]);
  });
});
