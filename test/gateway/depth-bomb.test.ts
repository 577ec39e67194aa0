import { afterEach, describe, expect, it, vi } from 'vitest';
import { readMessage } from '../../src/adapters/upstreams/json-rpc.ts';
import { isLargeAndDeep } from '../../src/domain/json.ts';
import { parseStrictJson } from '../../src/gateway/edge/strict-json.ts';

const bomb = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`;

afterEach(() => vi.restoreAllMocks());

describe('I3 a large depth bomb is refused before it is parsed, which would stop everything for seconds', () => {
  it.each([bomb(100_000), '['.repeat(200_000), `{"a":${bomb(100_000)}}`])('from a client: %#', (text) => {
    const parse = vi.spyOn(JSON, 'parse');
    expect(parseStrictJson(text)).toEqual({ problem: 'nested deeper than 64 levels' });
    expect(parse).not.toHaveBeenCalled();
  });

  it('from a connector', () => {
    const parse = vi.spyOn(JSON, 'parse');
    expect(readMessage(`{"jsonrpc":"2.0","id":1,"result":{"a":${bomb(100_000)}}}`)).toEqual({ kind: 'garbage' });
    expect(parse).not.toHaveBeenCalled();
  });
});

it('brackets inside strings are no depth, and an open string is left to the parser', () => {
  const text = JSON.stringify({ a: [`${'['.repeat(100_000)}\\"[`, { b: '\\' }] });
  expect(isLargeAndDeep(text, 3)).toBe(false);
  expect(isLargeAndDeep(`[${text}]`, 3)).toBe(true);
  expect(parseStrictJson(text)).toEqual({ value: JSON.parse(text) as unknown });
  expect(isLargeAndDeep(`["${'['.repeat(100_000)}`, 2)).toBe(false);
});
