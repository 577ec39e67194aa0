import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PlainProgress } from '../../src/adapters/upstreams/plain-progress.ts';

const TOKEN = '00f067aa0ba902b7';
const PARAMS = `"progressToken":"${TOKEN}","progress":5,"total":100`;
const message = (params: string): string => `{"jsonrpc":"2.0","method":"notifications/progress","params":{${params}}}`;
const bySdk = (params: string): string => `{"method":"notifications/progress","params":{${params}},"jsonrpc":"2.0"}`;

const MEMBERS = '"progress":5,"total":100.5,"message":"5 of 100 {}"';
const USUAL = [`"progressToken":"${TOKEN}",${MEMBERS}`, `${MEMBERS},"progressToken":"${TOKEN}"`].flatMap((params) => [
  message(params),
  bySdk(params),
]);

/** What is made of a text, whatever has been read before. */
function readPlainProgress(text: string, token: string): string | undefined {
  const found = [undefined, ...USUAL].map((before) => {
    const reader = new PlainProgress(token);
    if (before !== undefined) reader.read(before);
    return reader.read(text);
  });
  expect(new Set(found).size).toBe(1);
  for (const before of USUAL) expect([found[0], undefined]).toContain(readEvents(token, [before, before, text])[2]);
  return found[0];
}

/** What is made of texts that come as events, one in each piece of the stream. */
function readEvents(token: string, texts: readonly string[], field = 'event: message\ndata: '): (string | undefined)[] {
  const reader = new PlainProgress(token);
  return texts.map((text) => {
    const found = reader.readEvent(Buffer.from(`${field}${text}\n\n`));
    if (found === undefined) reader.read(text);
    return found;
  });
}

test('fault 32: progress in the usual ways is passed on without its token, as it was written', () => {
  for (const text of USUAL) expect(readPlainProgress(text, TOKEN)).toBe(MEMBERS);
});

test.each([
  ['another token', message(PARAMS.replace(TOKEN, 'other'))],
  ['no token', message('"progress":5')],
  ['a token alone', message(`"progressToken":"${TOKEN}"`)],
  ['a second token', message(`${PARAMS},"progressToken":"other"`)],
  ['a token twice', message(`"progressToken":"${TOKEN}",${PARAMS}`)],
  ['an escape', message(`${PARAMS},"message":"\\u001b[31m"`)],
  ['what people do not see', message(`${PARAMS},"message":"a\u200bb"`)],
  ['a number that is none', message(PARAMS.replace('5', '05'))],
  ['something more', message(`${PARAMS},"_meta":{}`)],
  ['a member twice', message(`"progressToken":"${TOKEN}","progress":1,"progress":2`)],
  ['a second message', `${message(PARAMS)},{}}}`],
  ['another method', message(PARAMS).replace('progress"', 'message"')],
  ['an end of another kind', message(PARAMS).slice(0, -1)],
])('%s is left to be read', (_, text) => {
  expect(readPlainProgress(text, TOKEN)).toBeUndefined();
});

test('fault 32: what is passed on is exactly what reading would have passed on', () => {
  const text = fc.string({ unit: fc.constantFrom('a', ' ', '"', '\\', '{', '}', ',', ':', 'é', '\u202e', '\u0001') });
  const value = fc.oneof(text, fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer(), fc.constant(null));
  const names = fc.uniqueArray(fc.constantFrom('progress', 'total', 'message', 'other', '_meta'), { maxLength: 4 });
  let plain = 0;
  fc.assert(
    fc.property(names, fc.array(value, { minLength: 5, maxLength: 5 }), fc.boolean(), (all, values, isFirst) => {
      const own = Object.fromEntries(all.map((name, at) => [name, values[at]]));
      const params = isFirst ? { progressToken: TOKEN, ...own } : { ...own, progressToken: TOKEN };
      const members = readPlainProgress(
        JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params }),
        TOKEN,
      );
      if (members === undefined) return;
      plain += 1;
      expect(JSON.parse(`{${members}}`)).toEqual(JSON.parse(JSON.stringify(own)));
      expect(members).toMatch(/^[ -~]*$/);
    }),
    { numRuns: 5_000 },
  );
  expect(plain).toBeGreaterThan(20);
});

test.each(['event: message\ndata: ', 'data: '])(
  'fault 32: what comes as "%s" is found by its bytes from the second on',
  (field) => {
    for (const usual of USUAL) {
      const longer = usual.replace('5 of 100 {}', '6 of 100');
      const foreign = usual.replace(TOKEN, TOKEN.replace('0', '1'));
      const hidden = usual.replace('5 of', '5\u202eof');
      const found = readEvents(TOKEN, [usual, usual, longer, foreign, hidden, usual], field);
      const members = MEMBERS.replace('5 of 100 {}', '6 of 100');
      expect(found).toEqual([undefined, MEMBERS, members, undefined, undefined, MEMBERS]);
    }
  },
);

test('events that are written otherwise, or are no whole event, are left to be read', () => {
  const usual = USUAL[0] as string;
  const reader = new PlainProgress(TOKEN);
  reader.read(usual);
  const whole = `data: ${usual}\n\n`;
  expect(reader.readEvent(Buffer.from(whole))).toBe(MEMBERS);
  for (const other of [
    whole.slice(0, -1),
    whole + whole,
    `id: 1\n${whole}`,
    whole.replace('data: ', 'data:'),
    '\n',
    '',
  ])
    expect(reader.readEvent(Buffer.from(other))).toBeUndefined();
});
