import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import type { GovernedTool, ResultRules } from '../../src/domain/tool.ts';
import { handleMethod } from '../../src/gateway/methods/handle-method.ts';
import { redactResult } from '../../src/gateway/stages/redact-result.ts';
import type { UpstreamReply } from '../../src/seams/upstream.ts';
import { makeClientRequest, makeGateway, makeTool } from '../support/fake-gateway-parts.ts';

/** What an owner takes out of results before an agent sees them. Secrets here are made up: the right form, and nobody's. */
const NONE: ResultRules = { drop: [], mask: [], masksSecrets: false, maxBytes: undefined, over: 'refuse' };
const path = (...texts: string[]) => texts.map((text) => text.split('.'));
const small = (result: JsonObject) => ({ result, resultText: JSON.stringify(result) });
const text = (value: unknown): JsonObject => ({
  content: [{ type: 'text', text: typeof value === 'string' ? value : JSON.stringify(value) }],
});
const redact = (result: JsonObject, rules: Partial<ResultRules>) => {
  const { reply, redacted } = redactResult(small(result), { ...NONE, ...rules });
  if (!('result' in reply)) throw new Error('refused');
  expect(JSON.parse(reply.resultText)).toEqual(reply.result);
  return { result: reply.result, redacted };
};
const GITHUB = `ghp_${'a1B2'.repeat(9)}`;
const AWS = `AKIA${'A1B2'.repeat(4)}`;

describe('members', () => {
  const people = {
    people: [
      { name: 'Ann', iban: 'X1', home: { iban: 'X2' } },
      { name: 'Bob', iban: 'X3' },
    ],
  };

  it('are dropped or masked by their path, in structured content and in text that is JSON; lists are looked through', () => {
    const { result, redacted } = redact(
      { ...text(people), structuredContent: people },
      { drop: path('people.iban'), mask: path('people.name') },
    );
    const mask = '[masked by Remit]';
    const expected = { people: [{ name: mask, home: { iban: 'X2' } }, { name: mask }] };
    expect(result.structuredContent).toEqual(expected);
    expect(JSON.parse((result.content as { text: string }[])[0]?.text ?? '')).toEqual(expected);
    expect(redacted).toEqual({ masked: 4, dropped: 4 });
  });

  it('* stands for one name, ** for any number of them', () => {
    expect(redact({ structuredContent: people }, { drop: path('people.*.iban') }).redacted).toEqual({ dropped: 1 });
    expect(redact({ structuredContent: people }, { drop: path('**.iban') }).redacted).toEqual({ dropped: 3 });
    expect(redact({ structuredContent: people }, { drop: path('iban') }).redacted).toBeUndefined();
    expect(redact({ structuredContent: people }, { mask: path('**.people') }).redacted).toEqual({ masked: 1 });
  });

  it('D1 of a text that is no JSON nothing can be told: it is masked whole, embedded resources too', () => {
    const { result, redacted } = redact(
      {
        content: [
          { type: 'text', text: 'iban: X1' },
          { type: 'resource', resource: { uri: 'a:b', text: 'iban: X1' } },
        ],
      },
      { drop: path('iban') },
    );
    expect(JSON.stringify(result)).not.toContain('X1');
    expect(redacted).toEqual({ masked: 2 });
  });

  it('what has none of them is the very same reply', () => {
    const reply = small(text({ a: 1 }));
    expect(redactResult(reply, { ...NONE, drop: path('b'), masksSecrets: true, maxBytes: 10_000 })).toEqual({
      reply,
      redacted: undefined,
    });
    expect(redactResult(reply, { ...NONE, drop: path('b'), masksSecrets: true }).reply).toBe(reply);
  });

  it('no value of a masked name is left, however it is nested (property)', () => {
    const value = fc.letrec((tie) => ({
      any: fc.oneof({ depthSize: 'small' }, fc.constant('SECRET'), fc.integer(), tie('list'), tie('object')),
      list: fc.array(tie('any'), { maxLength: 3 }),
      object: fc.dictionary(fc.constantFrom('a', 'pin', 'b'), tie('any'), { maxKeys: 3 }),
    })).object;
    const secretsUnder = (one: unknown, isBelow = false): number => {
      if (one === 'SECRET') return isBelow ? 1 : 0;
      if (typeof one !== 'object' || one === null) return 0;
      return Object.entries(one).reduce(
        (sum, [name, member]) => sum + secretsUnder(member, isBelow || name === 'pin'),
        0,
      );
    };
    fc.assert(
      fc.property(value, (given) => {
        const { result } = redact({ structuredContent: given as JsonObject }, { mask: path('**.pin') });
        expect(secretsUnder(result.structuredContent)).toBe(0);
      }),
    );
  });
});

describe('secrets in well-known formats', () => {
  const cases: [string, string][] = [
    ['aws_access_key', AWS],
    ['github_token', GITHUB],
    ['github_fine_grained_token', `github_pat_${'a1_B'.repeat(8)}`],
    ['gitlab_token', `glpat-${'aB1-'.repeat(6)}`],
    ['slack_token', `xoxb-${'1a2b'.repeat(6)}`],
    ['google_api_key', `AIza${'aB1_-'.repeat(7)}`],
    ['stripe_key', `sk_live_${'a1B2'.repeat(6)}`],
    ['npm_token', `npm_${'a1B2'.repeat(9)}`],
    ['model_api_key', `sk-ant-${'a1B2'.repeat(8)}`],
    ['jwt', `eyJ${'hbGci'.repeat(3)}.eyJ${'zdWIi'.repeat(3)}.${'c2ln'.repeat(5)}`],
    ['private_key', '-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----'],
  ];
  it.each(cases)('%s is masked in a text, in JSON within a text, and counted', (name, secret) => {
    for (const where of [`see ${secret} here`, { deep: [{ value: secret }] }]) {
      const { result, redacted } = redact(text(where), { masksSecrets: true });
      expect(JSON.stringify(result)).not.toContain(secret.slice(0, 30));
      expect(JSON.stringify(result)).toContain(`[masked by Remit: ${name}]`);
      expect(redacted).toEqual({ secrets: { [name]: 1 } });
    }
  });

  it('a key that is cut off is masked to the end, and what only looks like one is left', () => {
    const { result } = redact(text('-----BEGIN PRIVATE KEY-----\nMIIEvQ'), { masksSecrets: true });
    expect(JSON.stringify(result)).not.toContain('MIIEvQ');
    for (const plain of ['AKIA is a prefix', 'ghp_short', 'sk-learn', 'the eyJ of it', 'a-----BEGINNER'])
      expect(redact(text(plain), { masksSecrets: true }).redacted).toBeUndefined();
  });

  it('names of members and errors are looked through as well', () => {
    expect(JSON.stringify(redact({ structuredContent: { [GITHUB]: 1 } }, { masksSecrets: true }).result)).not.toContain(
      GITHUB,
    );
    const { reply } = redactResult({ error: { code: -1, message: `bad ${GITHUB}` } }, { ...NONE, masksSecrets: true });
    expect(reply).toEqual({ error: { code: -1, message: 'bad [masked by Remit: github_token]' } });
  });
});

describe('size', () => {
  it('a larger result is refused, and its record says how large it was', () => {
    const { reply, redacted } = redactResult(small(text('x'.repeat(2_000))), { ...NONE, maxBytes: 1_000 });
    expect(reply).toMatchObject({ refusal: { kind: 'unavailable', isForwarded: true } });
    expect(redacted?.bytes).toBeGreaterThan(2_000);
  });

  it('or its texts are cut from the end, with a note, to no more than it may have (property)', () => {
    const texts = fc.array(fc.string({ unit: 'grapheme', maxLength: 400 }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(texts, fc.integer({ min: 300, max: 1_000 }), (given, maxBytes) => {
        const whole = { content: given.map((one) => ({ type: 'text', text: one })) };
        const { reply } = redactResult(small(whole), { ...NONE, maxBytes, over: 'truncate' });
        if (!('resultText' in reply)) return;
        expect(Buffer.byteLength(reply.resultText)).toBeLessThanOrEqual(maxBytes);
        if (reply.resultText !== JSON.stringify(whole))
          expect(reply.resultText).toContain('[cut by Remit: the result has');
        expect(reply.resultText.isWellFormed()).toBe(true);
      }),
    );
  });

  it('structured content is never cut', () => {
    const { reply } = redactResult(small({ ...text('x'), structuredContent: { a: 'x'.repeat(2_000) } }), {
      ...NONE,
      maxBytes: 1_000,
      over: 'truncate',
    });
    expect(reply).toHaveProperty('refusal');
  });

  it('D1 what is nested too deep to be looked through is not passed on', () => {
    let deep: unknown = 1;
    for (let at = 0; at < 20_000; at += 1) deep = [deep];
    const result = { structuredContent: deep } as JsonObject;
    expect(redactResult({ result, resultText: '' }, { ...NONE, masksSecrets: true }).reply).toHaveProperty('refusal');
  });
});

describe('in a governed call', () => {
  const toolWith = (rules: Partial<ResultRules>): GovernedTool => {
    const tool = makeTool('orders');
    return {
      ...tool,
      profile: { ...(tool.profile as NonNullable<typeof tool.profile>), result: { ...NONE, ...rules } },
    };
  };

  async function call(tool: GovernedTool, reply: UpstreamReply) {
    const fake = makeGateway({ tools: [tool], reply: async () => reply });
    const request = makeClientRequest('tools/call', { name: tool.exposedName, arguments: {} });
    const { reply: answer, recordOutcome } = await handleMethod(fake.gateway, fake.caller(), request);
    recordOutcome?.();
    return { answer, fake, outcome: fake.records.find(({ type }) => type === 'outcome')?.detail };
  }

  it('the record says what was taken out, in numbers, and holds none of it', async () => {
    const { answer, outcome, fake } = await call(
      toolWith({ masksSecrets: true, drop: path('iban') }),
      small(text({ iban: 'DE02', token: GITHUB })),
    );
    expect(JSON.stringify(answer)).not.toMatch(new RegExp(`DE02|${GITHUB}`));
    expect(outcome).toMatchObject({ status: 'ok', redacted: { dropped: 1, secrets: { github_token: 1 } } });
    expect(JSON.stringify(fake.records)).not.toMatch(new RegExp(`DE02|${GITHUB}`));
  });

  it('a result in pieces is not passed on where there are rules, its exchange is ended, and passes where there are none', async () => {
    let isOver = false;
    async function* pieces(): AsyncGenerator<Buffer> {
      try {
        yield Buffer.from('{"content":[');
        yield Buffer.from(']}');
      } finally {
        isOver = true;
      }
    }
    const { answer, outcome, fake } = await call(toolWith({ masksSecrets: true }), { resultChunks: pieces() });
    expect(answer).toMatchObject({ refusal: { kind: 'unavailable' } });
    expect(outcome).toMatchObject({ status: 'unknown' });
    expect(isOver).toBe(true);
    expect(fake.underWay()).toBe(0);
    const { answer: passed } = await call(makeTool('orders'), { resultChunks: pieces() });
    expect(passed).toHaveProperty('resultChunks');
  });
});
