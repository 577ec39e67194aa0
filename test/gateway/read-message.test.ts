import { describe, expect, it } from 'vitest';
import { readMessage } from '../../src/gateway/edge/read-message.ts';

const CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"shop__orders","arguments":{}}}';

function problem(text: string, headers: Record<string, string> = {}) {
  const message = readMessage(text, headers);
  return 'problem' in message ? message.problem : undefined;
}

describe('D4 headers that disagree with the body are refused', () => {
  it.each([
    [{ 'mcp-method': 'tools/list' }],
    [{ 'mcp-name': 'shop__refunds' }],
    [{ 'mcp-name': '=?base64?c2hvcF9fcmVmdW5kcw==?=' }],
    [{ 'mcp-method': 'tools/call', 'mcp-name': 'shop__Orders' }],
  ])('%o', (headers) => {
    expect(problem(CALL, headers as unknown as Record<string, string>)).toMatchObject({ rpcCode: -32020, id: 1 });
  });

  it('headers that agree are accepted, encoded ones too', () => {
    expect(problem(CALL, { 'mcp-method': 'tools/call', 'mcp-name': 'shop__orders' })).toBeUndefined();
    expect(
      problem(CALL, { 'mcp-name': `=?base64?${Buffer.from('shop__orders').toString('base64')}?=` }),
    ).toBeUndefined();
  });
});

describe('messages', () => {
  it.each([
    ['a batch', '[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600],
    ['no version', '{"id":1,"method":"ping"}', -32600],
    ['a method that is no string', '{"jsonrpc":"2.0","id":1,"method":5}', -32600],
    ['params that are no object', '{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}', -32602],
    ['an id of null', '{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600],
    ['a duplicate key', '{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', -32700],
  ])('%s is refused', (_name, text, rpcCode) => {
    expect(problem(text)).toMatchObject({ rpcCode });
  });

  it('an unsupported revision is answered with those that are supported', () => {
    expect(problem(CALL, { 'mcp-protocol-version': '2026-07-28' })).toMatchObject({
      rpcCode: -32022,
      data: { supported: ['2025-11-25', '2025-06-18', '2025-03-26'], requested: '2026-07-28' },
    });
  });

  it('requests, notifications and responses are told apart', () => {
    expect(readMessage('{"jsonrpc":"2.0","id":"x","method":"ping"}', {})).toEqual({
      kind: 'request',
      id: 'x',
      method: 'ping',
      params: {},
    });
    expect(readMessage('{"jsonrpc":"2.0","method":"notifications/initialized"}', {})).toEqual({
      kind: 'notification',
      method: 'notifications/initialized',
    });
    expect(readMessage('{"jsonrpc":"2.0","id":1,"result":{}}', {})).toEqual({ kind: 'response' });
  });
});
