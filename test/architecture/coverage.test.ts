import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';

/**
 * Faults that a gateway of this kind meets, and attacks on the wire: each has a test that names it in its title. The numbers are those of the
 * project's fault and attack lists; what each means stands in the title of its test.
 */
const FAULTS = [...numbers(11, 37), 44, 46];
const ATTACKS = [4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 23, 25, 31, 32, 35, 36, 43, 46, 47].map(
  (number) => `A${String(number).padStart(2, '0')}`,
);

function* numbers(from: number, to: number): Generator<number> {
  for (let number = from; number <= to; number++) yield number;
}

/** Titles of tests: the first string after `it(`, `test(`, `describe(`, and the first of a row of a table of cases. */
function titles(): string[] {
  const root = resolve(import.meta.dirname, '..');
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  return files.flatMap((name) => {
    const text = readFileSync(join(root, name), 'utf8');
    return [
      ...text.matchAll(/\b(?:it|test|describe)\b[^'"`\n]{0,200}?\(\s*(['"`])((?:(?!\1).)*)\1/g),
      ...text.matchAll(/^\s+\[\s*(['"`])((?:(?!\1).)*)\1,/gm),
    ].map((match) => match[2] as string);
  });
}

it('each fault of the wire has a test that names it', () => {
  const named = new Set<number>();
  for (const title of titles()) {
    for (const [, list = ''] of title.matchAll(/\bfaults? ((?:\d+(?:, | and |, and )?)+)/g)) {
      for (const [number] of list.matchAll(/\d+/g)) named.add(Number(number));
    }
  }
  expect(FAULTS.filter((fault) => !named.has(fault))).toEqual([]);
});

it('each attack that a gateway can stop on the wire has a negative test that names it', () => {
  const named = new Set(titles().flatMap((title) => title.match(/\bA\d\d\b/g) ?? []));
  expect(ATTACKS.filter((attack) => !named.has(attack))).toEqual([]);
});
