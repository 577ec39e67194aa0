import { describe, expect, it } from 'vitest';
import { describeRedisScope, redisRules, redisScope } from '../../src/adapters/issuers/redis-rules.ts';

const HASH = 'ab'.repeat(32);

describe('rules of a leased Redis user', () => {
  it('for read reads its keys and writes none', () => {
    const rules = redisRules(redisScope(['orders:*', 'rates'], ['read', 'export']), HASH, 0);
    expect(rules.slice(0, 5)).toEqual(['reset', 'on', `#${HASH}`, '%R~orders:*', '%R~rates']);
    expect(rules).not.toContain('+@write');
    expect(rules.some((rule) => rule.startsWith('~'))).toBe(false);
  });

  it('for write reads and writes its keys', () => {
    const scope = redisScope(['orders:*'], ['read', 'write']);
    expect(redisRules(scope, HASH, 3)).toEqual(expect.arrayContaining(['~orders:*', '+@read', '+@write', '+select|3']));
    expect(describeRedisScope(scope)).toBe('read, write on orders:*');
  });

  it('never what key patterns do not bind, and takes it back after the categories', () => {
    const rules = redisRules(redisScope(['*'], ['write']), HASH, 0);
    for (const rule of ['-@dangerous', '-@admin', '-@scripting', '-scan', '-randomkey', '-dbsize']) {
      expect(rules.indexOf(rule), rule).toBeGreaterThan(rules.indexOf('+@write'));
    }
    expect(rules).not.toContain('+@all');
    expect(rules).not.toContain('allkeys');
  });

  it('takes * alone for a wildcard, and everything else as it stands', () => {
    expect(redisScope(['a[b]c?d\\e*f'], ['read']).patterns).toEqual(['a\\[b\\]c\\?d\\\\e*f']);
    expect(describeRedisScope(redisScope(['a[b]c?d\\e*f'], ['read']))).toBe('read on a[b]c?d\\e*f');
  });

  it.each([
    [[], ['read'], 'names no resource'],
    [['a'], [], 'open no key'],
    [['a'], ['code', 'privilege', 'secret'], 'open no key'],
    [['a b'], ['read'], 'no key pattern'],
    [['a\u0000b'], ['read'], 'no key pattern'],
    [['a\n+@all'], ['read'], 'no key pattern'],
    [[''], ['read'], 'no key pattern'],
    [['x'.repeat(513)], ['read'], 'no key pattern'],
    [Array.from({ length: 201 }, (_, index) => `k${index}`), ['read'], 'the most is 200'],
  ] as const)('are not made for %j and %j', (resources, classes, message) => {
    expect(() => redisScope(resources, classes)).toThrow(message);
  });
});
