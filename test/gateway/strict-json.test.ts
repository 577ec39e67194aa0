import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { MAX_JSON_DEPTH, parseStrictJson } from '../../src/gateway/edge/strict-json.ts';

const problem = (text: string): string => {
  const parsed = parseStrictJson(text);
  return 'problem' in parsed ? parsed.problem : `accepted: ${JSON.stringify(parsed.value)}`;
};

describe('D4 JSON with more than one reading is refused', () => {
  it.each([
    ['a duplicate key', '{"a":1,"a":2}', /duplicate key/],
    ['a duplicate key deep inside', '{"p":{"q":[{"x":1,"x":2}]}}', /duplicate key/],
    ['a key that differs in case only', '{"method":"x","Method":"y"}', /duplicate key/],
    ['a duplicate hidden by an escape', '{"a":1,"\\u0061":2}', /duplicate key/],
    ['a duplicate among many', `{${Array.from({ length: 40 }, (_, i) => `"k${i}":1`).join()},"K7":1}`, /duplicate key/],
    ['an integer beyond 2^53', '{"id":9007199254740993}', /2\^53/],
    ['an integer beyond 2^53 written as a float', '[9007199254740993.0]', /2\^53/],
    ['an exponent that overflows', '[1e400]', /2\^53/],
    ['a depth bomb', `${'['.repeat(10_000)}${']'.repeat(10_000)}`, /nested deeper/],
    ['one level too many', `${'['.repeat(MAX_JSON_DEPTH + 1)}${']'.repeat(MAX_JSON_DEPTH + 1)}`, /nested deeper/],
    ['the key __proto__', '{"__proto__":{"x":1}}', /__proto__/],
    ['text that is not JSON', '{"a":', /not JSON/],
  ])('%s', (_name, text, expected) => {
    expect(problem(text)).toMatch(expected);
  });

  it.each([
    '{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}]}',
    '{"a":"}{\\"a\\":1,\\"a\\":2","b":"\\\\"}',
    '{"n":[0,-1.5,1e10,123456789012345,9007199254740991,0.1234567890123456789]}',
    '"text"',
    `${'['.repeat(MAX_JSON_DEPTH)}${']'.repeat(MAX_JSON_DEPTH)}`,
  ])('accepts %s', (text) => {
    expect(parseStrictJson(text)).toEqual({ value: JSON.parse(text) });
  });
});

test('whatever JSON.stringify writes with distinct lower-case keys is accepted unchanged', () => {
  const json = fc.jsonValue({ maxDepth: 6, depthSize: 'medium' });
  fc.assert(
    fc.property(json, (value) => {
      const folded = (part: unknown): boolean => {
        if (Array.isArray(part)) return part.every(folded);
        if (part === null || typeof part !== 'object') return true;
        const keys = Object.keys(part).map((key) => key.toLowerCase());
        return !keys.includes('__proto__') && new Set(keys).size === keys.length && Object.values(part).every(folded);
      };
      const safe = !JSON.stringify(value).match(/\d{16}|e\+?\d/i);
      const parsed = parseStrictJson(JSON.stringify(value));
      if (folded(value) && safe) expect(parsed).toEqual({ value: JSON.parse(JSON.stringify(value)) });
      if (!folded(value)) expect('problem' in parsed).toBe(true);
    }),
    { numRuns: 500 },
  );
});
