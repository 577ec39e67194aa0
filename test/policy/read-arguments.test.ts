import { posix } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ToolProfile } from '../../src/domain/tool.ts';
import { readCriticalArguments } from '../../src/policy/read-arguments.ts';
import { sampleProfile } from './samples.ts';

const one = (type: string, value: unknown) => readCriticalArguments(sampleProfile('read', { a: type }), { a: value });
const reasonOf = (type: string, value: unknown) => {
  const reading = one(type, value);
  return 'problem' in reading ? reading.problem.reason : undefined;
};

describe('reads', () => {
  test('what the profile names, and nothing else', () => {
    const profile = sampleProfile('read', {
      sql: 'string',
      limit: 'long?',
      dry: 'boolean?',
      ids: 'string[]?',
      path: 'path?',
    });
    expect(
      readCriticalArguments(profile, { sql: 's', limit: -3, dry: false, ids: ['a', 'a'], path: '/a b', other: {} }),
    ).toEqual({
      values: { sql: 's', limit: -3, dry: false, ids: ['a', 'a'], path: '/a b' },
    });
    expect(readCriticalArguments(profile, { sql: '' })).toEqual({ values: { sql: '' } });
  });

  test('no arguments at all, where none is required', () => {
    expect(readCriticalArguments(sampleProfile(), undefined)).toEqual({ values: {} });
    expect(readCriticalArguments(sampleProfile('read', { a: 'long?' }), {})).toEqual({ values: {} });
  });

  test('own members only, whatever they are called', () => {
    const profile: ToolProfile = {
      ...sampleProfile(),
      criticalArguments: ['toString', '__proto__'].map((name) => ({ name, type: 'string', required: true })),
    };
    expect(readCriticalArguments(profile, {})).toMatchObject({ problem: { argument: 'toString' } });
    const reading = readCriticalArguments(profile, JSON.parse('{"toString":"a","__proto__":"b"}'));
    expect(Object.entries('values' in reading ? reading.values : {})).toEqual([
      ['toString', 'a'],
      ['__proto__', 'b'],
    ]);
  });

  test('a list as it is now, not as the caller may change it', () => {
    const list = ['a'];
    const reading = one('string[]', list);
    list.push('b');
    expect(reading).toEqual({ values: { a: ['a'] } });
  });

  test.each(['/', '/a', '/a/b.c', '/.hidden', '/...', '/a b/ü', '/a~', '/..a'])('the path %s', (path) => {
    expect(one('path', path)).toEqual({ values: { a: path } });
  });

  test.each([0, -0, 2 ** 53 - 1, -(2 ** 53 - 1)])('the integer %d', (value) => {
    expect(one('long', value)).toEqual({ values: { a: value } });
  });
});

describe('D4 refuses instead of guessing', () => {
  test.each([null, [], 'x', 3, true])('arguments that are %j', (args) => {
    expect(readCriticalArguments(sampleProfile(), args)).toEqual({
      problem: { argument: '', reason: 'the arguments are not an object' },
    });
  });

  test('a required argument that is missing', () => {
    expect(readCriticalArguments(sampleProfile('read', { a: 'string' }), {})).toEqual({
      problem: { argument: 'a', reason: 'it is required' },
    });
  });

  test.each([
    ['string', 3],
    ['string', null],
    ['string', ['a']],
    ['string?', null],
    ['string', 'a\ud800'],
    ['string', 'x'.repeat(262_145)],
    ['long', '3'],
    ['long', 1.5],
    ['long', 2 ** 53],
    ['long', -(2 ** 53)],
    ['long', 1e300],
    ['long', Number.NaN],
    ['long', Number.POSITIVE_INFINITY],
    ['boolean', 'yes'],
    ['boolean', 1],
    ['string[]', 'a'],
    ['string[]', ['a', 1]],
    ['string[]', [['a']]],
    ['string[]', [undefined]],
    ['string[]', Array(2)],
    ['string[]', { length: 0 }],
    ['string[]', Array(1_025).fill('a')],
    ['path', 3],
    ['path', ''],
    ['path', 'a'],
    ['path', '~/a'],
    ['path', '/a/../b'],
    ['path', '/..'],
    ['path', '/a/.'],
    ['path', '/./a'],
    ['path', '//a'],
    ['path', '/a//b'],
    ['path', '/a/'],
    ['path', '/a\0.txt'],
    ['path', '/a\\..\\b'],
    ['path', 'file:///a'],
    ['path', ' /a'],
  ])('%s: %j', (type, value) => {
    const reason = reasonOf(type, value);
    expect(reason).toMatch(/^(it|an entry) /);
    // The value itself is not told: arguments stay sealed.
    if (typeof value === 'string' && value.length > 1) expect(reason).not.toContain(value);
  });

  test('a path that is accepted is its own normal form', () => {
    const path = fc
      .array(fc.constantFrom('/', '.', '..', 'a', 'b', '\\', '\0', ' '), { maxLength: 10 })
      .map((parts) => parts.join(''));
    let accepted = 0;
    fc.assert(
      fc.property(path, (text) => {
        if (reasonOf('path', text) !== undefined) return;
        accepted += 1;
        expect(posix.normalize(text)).toBe(text);
        expect(posix.resolve('/x', text)).toBe(text);
      }),
      { numRuns: 3_000 },
    );
    expect(accepted).toBeGreaterThan(50);
  });

  test('a type that is not known', () => {
    expect(reasonOf('decimal', 1)).toMatch(/not known/);
  });
});
