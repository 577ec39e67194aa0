import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkUri,
  compileUriPattern,
  coversTemplate,
  findPatternProblem,
  matchesUri,
} from '../../src/domain/uri-pattern.ts';

const matches = (pattern: string, uri: string): boolean => matchesUri(compileUriPattern(pattern), uri);

describe('a URI pattern', () => {
  it.each([
    ['docs://manuals/*', 'docs://manuals/a', true],
    ['docs://manuals/*', 'docs://manuals/', true],
    ['docs://manuals/*', 'docs://manuals/a/b', false],
    ['docs://manuals/*', 'docs://manualsx', false],
    ['docs://manuals/**', 'docs://manuals/a/b?c=d', true],
    ['docs://**/b', 'docs://x/y/b', true],
    ['docs://**/b', 'docs://x/y/bb', false],
    ['docs://*/b*c', 'docs://x/b-c-c', true],
    ['docs://*/b*c', 'docs://x/b-c-d', false],
    ['docs://a', 'docs://a', true],
    ['docs://a', 'docs://ab', false],
    ['docs://a.c', 'docs://abc', false],
  ])('%s and %s: %s', (pattern, uri, expected) => {
    expect(matches(pattern, uri)).toBe(expected);
  });

  it('D4 agrees with a regular expression that says the same', () => {
    const text = fc.array(fc.constantFrom('a', 'b', '/', '*', '**'), { maxLength: 10 }).map((parts) => parts.join(''));
    const uri = fc.array(fc.constantFrom('a', 'b', '/'), { maxLength: 12 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, uri, (pattern, rest) => {
        const source = pattern.replace(/\*\*+/g, '§').replaceAll('*', '[^/]*').replaceAll('§', '.*');
        expect(matches(`x:${pattern}`, `x:${rest}`)).toBe(new RegExp(`^x:${source}$`).test(`x:${rest}`));
      }),
      { numRuns: 2_000 },
    );
  });

  it('A10, fault 46: takes no longer for a hostile pattern and URI', () => {
    const pattern = compileUriPattern(`x:${'*a'.repeat(255)}`);
    const started = process.cpuUsage().user;
    expect(matchesUri(pattern, `x:${'a'.repeat(2_000)}b`)).toBe(false);
    expect(process.cpuUsage().user - started).toBeLessThan(500_000);
  });

  it.each([
    ['docs', /scheme/],
    ['*://x', /scheme/],
    ['docs://{name}', /brace/],
    ['docs://a***', /more than two/],
    ['docs://../x', /segment/],
    ['docs://a\\b', /backslash/],
    ['docs://a\u200bb', /not drawn/],
    [`docs://${'x'.repeat(506)}`, /512/],
  ])('%s cannot be one', (pattern, problem) => {
    expect(findPatternProblem(pattern)).toMatch(problem);
  });

  it.each(['docs://manuals/*', 'file:///srv/**', 'urn:isbn:*', `x:${'y'.repeat(510)}`])('%s can be one', (pattern) => {
    expect(findPatternProblem(pattern)).toBeUndefined();
  });
});

describe('D4 a URI that has more than one reading is refused', () => {
  it.each([
    'docs://a/../b',
    'docs://a/./b',
    'docs://a/..',
    'docs://a/%2e%2E/b',
    'docs://a/.%2e/b',
    'docs://a/%252e%252e/b',
    'docs://a%2fb',
    'docs://a%5cb',
    'docs://a\\b',
    'docs://a//b',
    'docs://a\u0000b',
    'docs://a%00b',
    'docs://a\u202eb',
    'docs://a\nb',
    'docs://a?path=../b',
    '/etc/passwd',
    'a b',
    '',
    `docs://${'x'.repeat(2_042)}`,
    `docs://${'ü'.repeat(1_021)}`,
  ])('%j', (uri) => {
    expect(checkUri(uri)).toEqual(expect.any(String));
  });

  it.each([
    'docs://manuals/a',
    'file:///srv/a.b',
    'urn:isbn:978',
    'screenshot://',
    'docs://a?b=c#d',
    'docs://a/%C3%BC',
    'docs://a...b',
    'docs://ü',
    `docs://${'x'.repeat(2_041)}`,
  ])('and %j has one', (uri) => {
    expect(checkUri(uri)).toBeUndefined();
  });
});

describe('a template belongs to the pattern that its literal beginning is within', () => {
  it.each([
    ['docs://manuals/*', 'docs://manuals/{name}', true],
    ['docs://manuals/*', 'docs://manuals/{+path}', true],
    ['docs://**', 'docs://manuals/{a}/{b}', true],
    ['docs://manuals/*', 'docs://{a}/{b}', false],
    ['docs://manuals/*', 'docs://other/{a}', false],
    ['docs://a', 'docs://a', true],
    ['docs://a', 'docs://b', false],
    ['docs://**', 'docs://a\u200b/{name}', false],
    ['docs://**', 'docs://../{name}', false],
  ])('%s and %s: %s', (pattern, uriTemplate, expected) => {
    expect(coversTemplate(compileUriPattern(pattern), uriTemplate)).toBe(expected);
  });
});
