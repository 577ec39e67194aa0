import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../harness/random.ts';
import type { Canary } from '../../src/domain/canary.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { createCanaries } from '../../src/flow/canaries.ts';
import { compact, spellingsOf } from '../../src/flow/spellings.ts';
import { createPrinter, PrintSet } from '../../src/flow/value-prints.ts';
import { NOW, PRINTER, TENANT } from '../support/fake-gateway-parts.ts';

const VALUE = 'q7zk3mvx9c2h5w8r1t4y6n0bjdgpfsae';

const canary = (value: string, id = 'can_1'): Canary => ({
  tenant: TENANT,
  id,
  zone: 'hr',
  print: PRINTER.print(compact(value)),
  createdAt: NOW,
  createdBy: 'dana',
});
const canaries = createCanaries(PRINTER, [canary(VALUE)]);
const finds = (args: JsonObject): boolean => canaries.find(args) !== undefined;

const bytes = Buffer.from(VALUE);
const percent = [...bytes].map((byte) => `%${byte.toString(16)}`).join('');
const mime = bytes.toString('base64').replace(/(.{10})/g, '$1\r\n');

describe('a canary is found', () => {
  it.each<[string, JsonObject]>([
    ['as it is', { body: `see ${VALUE}.` }],
    ['within something longer', { body: `x${VALUE}y` }],
    ['in capitals', { body: VALUE.toUpperCase() }],
    ['in another width', { body: VALUE.replace('q', 'ｑ') }],
    ['with space in it', { body: VALUE.replace(/(.{4})/g, '$1 ') }],
    ['with characters in it that do not show', { body: VALUE.replace(/(.{4})/g, '$1\u200b\u00ad') }],
    ['in base64', { body: bytes.toString('base64') }],
    ['in base64 of a longer text, wherever it begins there', { body: Buffer.from(`a${VALUE}`).toString('base64') }],
    ['in base64 of a longer text, at the third place', { body: Buffer.from(`ab${VALUE}`).toString('base64') }],
    ['in base64 that stands behind something', { body: `xyz${bytes.toString('base64url')}` }],
    ['in base64 of lines', { body: mime }],
    ['in base64 of UTF-16', { body: Buffer.from(VALUE, 'utf16le').toString('base64') }],
    ['in base64 of base64', { body: Buffer.from(bytes.toString('base64')).toString('base64') }],
    ['in hex', { body: bytes.toString('hex') }],
    ['in hex of capitals, at an odd place', { body: `f${bytes.toString('hex').toUpperCase()}` }],
    ['in hex with colons', { body: bytes.toString('hex').replace(/(..)/g, '$1:') }],
    ['in base64 of hex', { body: Buffer.from(bytes.toString('hex')).toString('base64') }],
    ['in percent signs', { url: `https://evil.example/?q=${percent}` }],
    ['in base64 in percent signs', { url: encodeURIComponent(Buffer.from(`??${VALUE}>>`).toString('base64')) }],
    [
      'in escapes of JSON',
      { body: JSON.stringify([...VALUE].map((c) => `\\u00${c.charCodeAt(0).toString(16)}`).join('')) },
    ],
    ['in character references', { body: [...VALUE].map((c) => `&#${c.charCodeAt(0)};`).join('') }],
    ['in the name of a member', { [VALUE]: 1 }],
    ['deep within', { a: [{ b: [{ c: [VALUE] }] }] }],
    ['in pieces that follow one another', { parts: [VALUE.slice(0, 10), VALUE.slice(10)] }],
  ])('A50 %s', (_title, args) => {
    expect(finds(args)).toBe(true);
    // And for the right reason: another value in the same clothes is not one.
    const other = JSON.parse(JSON.stringify(args).replaceAll(VALUE, `0${VALUE.slice(1)}`)) as JsonObject;
    if (JSON.stringify(other) !== JSON.stringify(args)) expect(finds(other)).toBe(false);
  });

  it('and nothing else is: a piece of it, another value, or nothing at all', () => {
    expect(finds({ body: VALUE.slice(1) })).toBe(false);
    expect(finds({ body: [...VALUE].reverse().join('') })).toBe(false);
    expect(finds({})).toBe(false);
    expect(createCanaries(PRINTER, []).size).toBe(0);
  });

  it('equals a search for the value itself, on random texts with values of several lengths', () => {
    const random = seededRandom(3);
    const letters = 'abcd';
    const text = (length: number): string => Array.from({ length }, () => random.pick([...letters])).join('');
    let found = 0;
    for (let round = 0; round < 500; round += 1) {
      const values = [text(4), text(5), text(7)];
      const set = new PrintSet<string>();
      for (const value of values) set.add(PRINTER.print(value), value);
      const haystack = text(60);
      const expected = values.some((value) => haystack.includes(value));
      const about = set.find([haystack], PRINTER);
      expect(about !== undefined).toBe(expected);
      if (about !== undefined) expect(haystack).toContain(about);
      if (expected) found += 1;
    }
    expect(found).toBeGreaterThan(50);
    expect(found).toBeLessThan(500);
  });

  it('its fingerprint is keyed: under another key it is another, and finds nothing', () => {
    const other = createPrinter(Buffer.alloc(32, 8));
    expect(other.print(VALUE)).not.toEqual(PRINTER.print(VALUE));
    expect(createCanaries(other, [canary(VALUE)]).find({ body: VALUE })).toBeUndefined();
    expect(JSON.stringify(PRINTER.print(VALUE))).not.toContain(VALUE.slice(0, 6));
  });

  it('I3 in linear time: what is looked through is a few times the text, in a few pieces, whatever it is made of', () => {
    const size = 262_144;
    for (const unit of [
      'QUJD',
      '6162',
      '%41',
      'a b ',
      '&#97;',
      'ａ',
      '\\\\\\\\\\',
      'the cat sat on 12 mats. ',
      '0x61, ',
      '=',
    ]) {
      const started = performance.now();
      const spellings = spellingsOf(unit.repeat(size / unit.length));
      expect(spellings.length, unit).toBeLessThanOrEqual(60);
      expect(spellings.join('').length, unit).toBeLessThanOrEqual(8 * size);
      // Nothing tight: only that no expression goes through it again and again.
      expect(performance.now() - started, unit).toBeLessThan(5_000);
    }
  });
});
