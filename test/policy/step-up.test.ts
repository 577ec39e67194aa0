import * as fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import {
  type CedarEngine,
  type CedarEngineOptions,
  createCedarEngine,
} from '../../src/adapters/policy/cedar-engine.ts';
import { loadPolicies } from '../../src/adapters/policy/load-policies.ts';
import { NO_LABELS } from '../../src/domain/flow.ts';
import { agentId } from '../../src/domain/ids.ts';
import { readStepUp } from '../../src/domain/read-step-up.ts';
import { createDecider } from '../../src/policy/decide.ts';
import type { PolicyAnswer } from '../../src/seams/policy-engine.ts';
import {
  ALICE,
  INVENTORY,
  NOW,
  PAY,
  samplePrincipal,
  sampleRequest,
  sampleTask,
  sampleTemplate,
  sampleTool,
} from './samples.ts';

const engines: CedarEngine[] = [];
afterEach(() => {
  for (const engine of engines.splice(0)) engine.release();
});

function make(text: string, more: Partial<CedarEngineOptions> = {}): CedarEngine {
  const engine = createCedarEngine({ ...loadPolicies([{ path: 'test.cedar', text }], INVENTORY), ...more });
  engines.push(engine);
  return engine;
}

const PERMIT = '@id("all") permit (principal, action, resource);';
const hold = (id: string, terms: string, when = ''): string =>
  `@id("${id}") @step_up("${terms}") @reason("Money.") forbid (principal, action in Remit::Action::"financial", resource) ${when};`;
const PAYING = sampleRequest(PAY);

describe('the annotation', () => {
  test('says who, how many, how long, how often and who not', () => {
    expect(readStepUp('approvers=payments,finance count=2 expires=15m limit=20 not=user,owner', 'p')).toEqual({
      by: 'p',
      groups: ['payments', 'finance'],
      count: 2,
      expiresSeconds: 900,
      limit: 20,
      barred: ['user', 'owner'],
    });
    const plain = { by: 'p', groups: [], count: 1, expiresSeconds: 900, limit: 1, barred: [] };
    for (const text of ['', '  ']) expect(readStepUp(text, 'p')).toEqual(plain);
  });

  test.each([
    ['count=0'],
    ['count=two'],
    ['count=11'],
    ['expires=2d'],
    ['expires=0s'],
    ['expires=25h'],
    ['limit=0'],
    ['limit=99999'],
    ['approvers='],
    ['approvers=A'],
    ['approvers=a, b'],
    ['not=nobody'],
    ['count=1 count=2'],
    ['whatever'],
  ])('%s is a problem', (text) => expect(readStepUp(text, 'p')).toHaveProperty('problem'));

  test('D1 what is written wrong, or stands on a permit, stops the start and names its line', () => {
    for (const text of [hold('h', 'count=none'), '@step_up("")\npermit (principal, action, resource);'])
      expect(() => make(text)).toThrow(/@step_up/);
    const valueless = '@id("h") @step_up forbid (principal, action in Remit::Action::"call", resource);';
    expect(make(PERMIT + valueless).evaluate(PAYING)).toMatchObject({ verdict: 'step_up' });
  });
});

describe.each([
  ['in process', {}],
  ['by Cedar', { compile: false }],
] as const)('evaluated %s', (_, how) => {
  test('a call is held where every policy that forbids it can be lifted and something permits it', () => {
    expect(make(PERMIT + hold('money', 'count=2'), how).evaluate(PAYING)).toMatchObject({
      verdict: 'step_up',
      policies: ['money'],
      reason: 'Money.',
      terms: [{ by: 'money', count: 2 }],
    });
  });

  test('nobody is asked about what nothing permits', () => {
    const answer = make(hold('money', ''), how).evaluate(PAYING);
    expect(answer).toMatchObject({ verdict: 'deny', policies: [] });
    expect(answer.terms).toBeUndefined();
  });

  test('a broad permit does not take a hold away, and a plain forbid cannot be lifted', () => {
    const broad = `${PERMIT}@id("more") permit (principal, action, resource);`;
    expect(make(broad + hold('money', ''), how).evaluate(PAYING).verdict).toBe('step_up');
    const never = '@id("never") forbid (principal, action in Remit::Action::"financial", resource);';
    expect(make(PERMIT + hold('money', '') + never, how).evaluate(PAYING)).toMatchObject({
      verdict: 'deny',
      policies: ['money', 'never'],
    });
  });

  test('D1 a hold that fails while it is evaluated denies', () => {
    const when =
      'when { action == Remit::Action::"shop_db/pay" && context.args.amount * 9007199254740991 * 9007199254740991 > 0 }';
    const erring = hold('money', '', when).replace(
      'action in Remit::Action::"financial"',
      'action == Remit::Action::"shop_db/pay"',
    );
    const answer = make(PERMIT + erring.replace('action == Remit::Action::"shop_db/pay" && ', ''), how).evaluate(
      PAYING,
    );
    expect(answer).toMatchObject({ verdict: 'deny', policies: ['money'] });
    expect(answer.terms).toBeUndefined();
  });

  test('several holds are all to be met, and what is held is listed', () => {
    const engine = make(PERMIT + hold('money', '') + hold('also', 'count=3'), how);
    expect(engine.evaluate(PAYING).terms?.map(({ by }) => by)).toEqual(['money', 'also']);
    const all = make(`${PERMIT}@id("h") @step_up("") forbid (principal, action, resource);`, how);
    const listing = { ...PAYING, action: 'discover' as const, context: { ...PAYING.context, arguments: {} } };
    expect(all.evaluate(listing).verdict).toBe('permit');
    expect(all.evaluate(PAYING).verdict).toBe('step_up');
  });
});

const held: PolicyAnswer = {
  verdict: 'step_up',
  policies: ['h'],
  reason: 'Money.',
  nextStep: undefined,
  terms: [{ by: 'h', groups: [], count: 1, expiresSeconds: 60, limit: 1, barred: [] }],
};
const answers = {
  permit: { ...held, verdict: 'permit', terms: undefined },
  deny: { ...held, verdict: 'deny', terms: undefined },
  step_up: held,
} as const;

function decideFor(links: readonly (keyof typeof answers)[]) {
  const [, ...rest] = links.slice(1);
  const chain = { user: ALICE, actors: rest.map((_, index) => agentId(`actor${index}`)) };
  let at = 0;
  const engine = { version: 'v', evaluate: () => answers[links[at++] as keyof typeof answers] as PolicyAnswer };
  return createDecider({
    engine: () => engine,
    environment: 'prod',
    labelsOf: () => NO_LABELS,
    clock: () => NOW,
  }).decideCall({
    principal: samplePrincipal(chain),
    task: sampleTask({ user: ALICE }),
    template: sampleTemplate(),
    tool: sampleTool(PAY),
    args: { amount: 5 },
    callsLeft: 10,
  });
}

test('D3 D6 over the links of a chain a denial wins, then a hold, whatever their order', async () => {
  const verdict = fc.constantFrom<keyof typeof answers>('permit', 'permit', 'step_up', 'deny');
  await fc.assert(
    fc.property(fc.array(verdict, { minLength: 2, maxLength: 5 }), (links) => {
      const decision = decideFor(links);
      const expected = links.includes('deny') ? 'deny' : links.includes('step_up') ? 'step_up' : 'permit';
      expect(decision).toMatchObject({ verdict: expected });
      expect('stepUp' in decision).toBe(expected === 'step_up');
    }),
  );
});

test('D1 a hold without terms, of whatever engine, is a denial', () => {
  const engine = { version: 'v', evaluate: (): PolicyAnswer => ({ ...held, terms: [] }) };
  const decision = createDecider({
    engine: () => engine,
    environment: 'prod',
    labelsOf: () => NO_LABELS,
    clock: () => NOW,
  }).decideCall({
    principal: samplePrincipal(),
    task: sampleTask(),
    template: sampleTemplate(),
    tool: sampleTool(PAY),
    args: { amount: 5 },
    callsLeft: 10,
  });
  expect(decision).toMatchObject({ verdict: 'deny' });
});
