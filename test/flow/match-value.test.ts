import { describe, expect, it } from 'vitest';
import { asksFor, stemOf, wordsOf } from '../../src/flow/asks-for.ts';
import { holdsValue, isListed, normaliseText, normaliseValue } from '../../src/flow/match-value.ts';

const holds = (text: string, value: string): boolean => holdsValue(normaliseText(text), normaliseValue(value));

describe('a value within a text', () => {
  it.each([
    ['Write to Ann@Shop.example, please.', 'ann@shop.example'],
    ['Write to ann@shop.example.', 'ann@shop.example'],
    ["their account is 'GB29 0000 1111'", 'GB29  0000 1111'],
    ['see https://shop.example/help/ for more', 'http://shop.example/help'],
    ['to: ann@shop.example', 'ann@shop.example'],
    ['Acme’s bill', 'acme'],
    ["file '13' of mine", '13'],
    ['the file with id 13', '13'],
    ['order #13', '13'],
  ])('%s holds %s', (text, value) => expect(holds(text, value)).toBe(true));

  it.each([
    ['a longer address', 'Write to ann@shop.example.evil', 'ann@shop.example'],
    ['a longer address before', 'Write to joann@shop.example', 'ann@shop.example'],
    ['a piece of an address', 'Write to ann@shop.example', 'shop.example'],
    ['another path', 'see https://shop.example/help/13', 'https://shop.example/help'],
    ['a host within a path', 'see https://evil.example/shop.example', 'shop.example'],
    ['a piece of a number', 'account 1234567', '23456'],
    ['a short one that stands anywhere', 'on June 13 at noon', '13'],
    ['nothing', 'anything', ' '],
  ])('%s is another value', (_, text, value) => expect(holds(text, value)).toBe(false));

  it('is on an allow-list literally, or by a star at one end', () => {
    const list = ['*@shop.example', 'https://docs.example/*', 'Acme'];
    for (const one of ['ann@shop.example', 'https://docs.example/a', 'ACME']) {
      expect(isListed(list, normaliseValue(one))).toBe(true);
    }
    for (const one of ['ann@shop.example.evil', '@shop.example', 'https://docs.example.evil/a', 'acme ltd']) {
      expect(isListed(list, normaliseValue(one))).toBe(false);
    }
  });
});

describe('what a prompt asks for', () => {
  it.each([
    ['Please forward it', ['forward']],
    ['I sent it; now send it again', ['send']],
    ['He was paid twice', ['pay']],
    ['Could you be deleting those', ['delete']],
    ['set the new password', ['set password']],
    ['copies of invoices', ['invoice']],
  ])('%s', (prompt, asked) => expect(asksFor(wordsOf(prompt), asked)).toBe(true));

  it.each([
    ['What is in the file?', ['send', 'delete']],
    ['set the table', ['set password']],
    ['sender of the letter', ['send']],
    ['anything', []],
    ['anything', ['…']],
  ])('%s does not ask for %j', (prompt, asked) => expect(asksFor(wordsOf(prompt), asked)).toBe(false));

  it('endings of a word come to one stem', () => {
    for (const word of ['create', 'creates', 'created', 'creating']) expect(stemOf(word)).toBe('creat');
    for (const word of ['add', 'adds', 'added', 'adding']) expect(stemOf(word)).toBe('add');
    for (const word of ['transfer', 'transferred', 'transferring']) expect(stemOf(word)).toBe('transfer');
  });
});
