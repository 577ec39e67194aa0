import { beforeEach, describe, expect, test } from 'vitest';
import type { Decision } from '../../src/domain/decision.ts';
import { NO_LABELS } from '../../src/domain/flow.ts';
import { agentId } from '../../src/domain/ids.ts';
import { type CallRequest, createDecider } from '../../src/policy/decide.ts';
import type { ExternalPoint } from '../../src/policy/external/scope.ts';
import { type ExternalOptions, withExternal } from '../../src/policy/external/with-external.ts';
import type { ExternalAnswer, ExternalPolicy, ExternalQuestion } from '../../src/seams/external-policy.ts';
import type { PolicyAnswer } from '../../src/seams/policy-engine.ts';
import { ALICE, NOW, PAY, QUERY, samplePrincipal, sampleTask, sampleTemplate, sampleTool } from '../policy/samples.ts';

const YES: ExternalAnswer = { isPermitted: true, reason: undefined, stepUp: undefined };
const NO: ExternalAnswer = { isPermitted: false, reason: 'Not today.', stepUp: undefined };

let own: PolicyAnswer;
let now: number;
let timers: (() => void)[];
let asked: (readonly ExternalQuestion[])[];
beforeEach(() => {
  own = { verdict: 'permit', policies: ['p'], reason: 'Fine.', nextStep: undefined };
  now = NOW;
  timers = [];
  asked = [];
});

type Ask = ExternalPolicy['ask'];

function point(answer: ExternalAnswer | Ask, more: Partial<ExternalPoint> = {}): ExternalPoint {
  const ask: Ask = async (questions, signal) => {
    asked.push(questions);
    return typeof answer === 'function' ? answer(questions, signal) : questions.map(() => answer);
  };
  return {
    id: 'pdp',
    policy: { ask, close: () => Promise.resolve() },
    asks: new Set(['call']),
    agents: undefined,
    tools: undefined,
    actionClasses: undefined,
    arguments: new Map(),
    timeoutMs: 1_000,
    reuseMs: 0,
    ...more,
  };
}

function decider(points: readonly ExternalPoint[], more: Partial<ExternalOptions> = {}) {
  const clock = () => now;
  const engine = { version: 'sha256:v', evaluate: () => own };
  const inner = createDecider({ engine: () => engine, environment: 'prod', labelsOf: () => NO_LABELS, clock });
  return withExternal(inner, {
    points,
    environment: 'prod',
    labelsOf: () => NO_LABELS,
    clock,
    schedule: (_, task) => {
      timers.push(task);
      return () => undefined;
    },
    approverGroups: new Set(['payments']),
    ...more,
  });
}

const call = (more: Partial<CallRequest> = {}): CallRequest => ({
  principal: samplePrincipal(),
  task: sampleTask(),
  template: sampleTemplate(),
  tool: sampleTool(PAY),
  args: { amount: 5, memo: 'private' },
  callsLeft: 10,
  ...more,
});
const chain = { user: ALICE, actors: [agentId('helper')] };
const ofAlice = { principal: samplePrincipal(chain), task: sampleTask({ user: ALICE }) };

describe('deny wins', () => {
  test('what both permit is permitted, and says so', async () => {
    expect(await decider([point(YES)]).decideCall(call())).toMatchObject({
      verdict: 'permit',
      gate: 'agent_policy',
      policies: ['p', 'remit:external/pdp'],
    });
  });

  test('a permit from outside widens nothing: of what is denied here nobody is asked', async () => {
    own = { verdict: 'deny', policies: [], reason: 'No.', nextStep: undefined };
    expect(await decider([point(YES)]).decideCall(call())).toMatchObject({ verdict: 'deny', gate: 'agent_policy' });
    expect(await decider([point(YES)]).decideCall(call({ callsLeft: 0 }))).toMatchObject({ gate: 'budget' });
    expect(asked).toEqual([]);
  });

  test('a denial from outside has a gate, a rule and its reason', async () => {
    expect(await decider([point(NO)]).decideCall(call())).toMatchObject({
      verdict: 'deny',
      gate: 'external_policy',
      policies: ['remit:external/pdp'],
      reason: 'Not today.',
      policyVersion: 'sha256:v',
    });
  });

  test('a denial from outside takes a hold away, too', async () => {
    own = {
      ...own,
      verdict: 'step_up',
      terms: [{ by: 'h', groups: [], count: 1, expiresSeconds: 900, limit: 1, barred: [] }],
    };
    expect(await decider([point(NO)]).decideCall(call())).toMatchObject({ verdict: 'deny', gate: 'external_policy' });
    expect(await decider([point(YES)]).decideCall(call())).toMatchObject({ verdict: 'step_up', policies: ['p'] });
  });

  test('the first of several that denies decides, and the next ones learn nothing', async () => {
    const decision = await decider([
      point(YES, { id: 'a' }),
      point(NO, { id: 'b' }),
      point(YES, { id: 'c' }),
    ]).decideCall(call());
    expect(decision).toMatchObject({ verdict: 'deny', policies: ['remit:external/b'] });
    expect(asked).toHaveLength(2);
  });

  test('D3 each link is asked about, in one request, and one that is denied denies', async () => {
    const onlyUser: Ask = async (questions) => questions.map(({ subject }) => (subject.type === 'user' ? YES : NO));
    expect((await decider([point(YES)]).decideCall(call(ofAlice))).verdict).toBe('permit');
    expect(asked[0]?.map(({ subject }) => subject.id)).toEqual(['https://idp.example#alice', 'orders-bot', 'helper']);
    expect((await decider([point(onlyUser)]).decideCall(call(ofAlice))).verdict).toBe('deny');
  });

  test('without any the decider is the one that it was', () => {
    expect(decider([]).decideCall(call())).not.toBeInstanceOf(Promise);
  });
});

describe('scope', () => {
  test.each<[string, Partial<ExternalPoint>, boolean]>([
    ['an item', { tools: [PAY] }, true],
    ['every item of a connector', { tools: ['shop_db/*'] }, true],
    ['other items', { tools: [QUERY, 'files/*'] }, false],
    ['a class', { actionClasses: ['financial'] }, true],
    ['other classes', { actionClasses: ['read'] }, false],
    ['an agent', { agents: ['orders-bot'] }, true],
    ['an actor', { agents: ['helper'] }, true],
    ['other agents', { agents: ['third'] }, false],
    ['listings', { asks: new Set(['discover']) }, false],
  ])('of %s', async (_, scope, isAsked) => {
    const decision = await decider([point(NO, scope)]).decideCall(call(ofAlice));
    expect(decision.verdict).toBe(isAsked ? 'deny' : 'permit');
  });

  test('D2 a listing is asked about by itself, where that is wanted, with no arguments and no labels', async () => {
    const both = decider([point(NO, { asks: new Set(['discover']), arguments: new Map([[PAY, ['amount']]]) })]);
    expect((await both.decideDiscovery(call())).verdict).toBe('deny');
    expect((await both.decideCall(call())).verdict).toBe('permit');
    expect(asked[0]?.[0]).toMatchObject({ action: { name: 'discover' } });
    expect(Object.keys(asked[0]?.[0]?.context ?? {})).not.toEqual(expect.arrayContaining(['arguments']));
    expect((await decider([point(NO)]).decideDiscovery(call())).verdict).toBe('permit');
  });

  test('values of arguments are sent where they are listed, and no others', async () => {
    await decider([point(YES)]).decideCall(call());
    await decider([point(YES, { arguments: new Map([[PAY, ['amount', 'none']]]) })]).decideCall(call());
    expect(asked.map(([question]) => question?.context.arguments)).toEqual([{}, { amount: 5 }]);
    expect(JSON.stringify(asked)).not.toContain('private');
  });
});

describe('D1 faults deny', () => {
  const fault = {
    verdict: 'deny',
    gate: 'external_policy',
    policies: ['remit:external-fault/pdp'],
    policyVersion: 'sha256:v',
  };

  test.each<[string, Ask]>([
    ['one that rejects', () => Promise.reject(new Error('refused'))],
    [
      'one that throws',
      (() => {
        throw new Error('broken');
      }) as Ask,
    ],
    ['no answer', async () => []],
    ['an answer too many', async () => [YES, YES]],
    ['no list', async () => YES as never],
    ['nothing', async () => undefined as never],
    ['an answer that is none', async () => [undefined] as never],
    ['a permit that is a text', async () => [{ ...YES, isPermitted: 'true' }] as never],
    ['terms that are no words of ours', async () => [{ ...YES, stepUp: 'anything goes' }]],
    ['terms for approvers whom nobody knows', async () => [{ ...YES, stepUp: 'approvers=strangers' }]],
  ])('D1 %s', async (_, ask) => {
    expect(await decider([point(ask)]).decideCall(call())).toMatchObject(fault);
  });

  test('D1 one that never answers, in its time; and it is told to stop', async () => {
    let signal: AbortSignal | undefined;
    const ask: Ask = (_, given) => {
      signal = given;
      return new Promise(() => undefined);
    };
    const decision = Promise.resolve(decider([point(ask)]).decideCall(call()));
    await expect.poll(() => signal).toBeDefined();
    for (const timer of timers) timer();
    expect(await decision).toMatchObject({ ...fault, reason: 'The decision point pdp did not answer in time.' });
    expect(signal?.aborted).toBe(true);
  });

  test('D1 a late answer changes nothing', async () => {
    let answer: (answers: readonly ExternalAnswer[]) => void = () => undefined;
    const decision = Promise.resolve(
      decider([
        point(
          () =>
            new Promise((resolve) => {
              answer = resolve;
            }),
        ),
      ]).decideCall(call()),
    );
    await expect.poll(() => asked.length).toBe(1);
    for (const timer of timers) timer();
    answer([YES]);
    expect(await decision).toMatchObject(fault);
  });

  test('D1 labels that cannot be had deny, before anybody is asked', async () => {
    const labelsOf = () => {
      throw new Error('lost');
    };
    const decision = await decider([point(YES)], { labelsOf }).decideCall(call());
    expect(decision).toMatchObject({ verdict: 'deny', gate: 'fault', policies: ['remit:fault'] });
    expect(asked).toEqual([]);
  });

  test('D1 what changes while it is asked binds: a task that ends, a policy that no longer permits', async () => {
    const expire: Ask = async () => {
      now = NOW + 600_000;
      return [YES];
    };
    expect(await decider([point(expire)]).decideCall(call())).toMatchObject({ policies: ['remit:task-ended'] });
    now = NOW;
    const withdraw: Ask = async () => {
      own = { ...own, verdict: 'deny' };
      return [YES];
    };
    expect(await decider([point(withdraw)]).decideCall(call())).toMatchObject({
      verdict: 'deny',
      gate: 'agent_policy',
    });
  });
});

describe('a hold from outside', () => {
  const held = (stepUp: string) => point({ ...YES, stepUp });

  test('is one of ours, with its terms', async () => {
    expect(await decider([held('approvers=payments count=2')]).decideCall(call())).toMatchObject({
      verdict: 'step_up',
      gate: 'external_policy',
      policies: ['remit:external/pdp'],
      stepUp: { terms: [{ by: 'remit:external/pdp', groups: ['payments'], count: 2 }] },
    });
  });

  test('is met beside one of ours, and beside others', async () => {
    own = {
      ...own,
      verdict: 'step_up',
      terms: [{ by: 'h', groups: [], count: 1, expiresSeconds: 900, limit: 1, barred: [] }],
    };
    const both = await decider([held('count=2'), { ...held('count=3'), id: 'b' }]).decideCall(call());
    expect(both.stepUp?.terms.map(({ by, count }) => [by, count])).toEqual([
      ['h', 1],
      ['remit:external/pdp', 2],
      ['remit:external/b', 3],
    ]);
  });

  test('of two links is met twice where it differs, once where it does not', async () => {
    const terms = async (texts: string[]) => {
      const ask: Ask = async (questions) => questions.map((_, at) => ({ ...YES, stepUp: texts[at] }));
      const decision = (await decider([point(ask)]).decideCall(call(ofAlice))) as Decision;
      return decision.stepUp?.terms.map(({ by, count }) => [by, count]);
    };
    expect(await terms(['count=2', 'count=2', 'count=2'])).toEqual([['remit:external/pdp', 2]]);
    expect(await terms(['count=2', 'count=3', 'count=2'])).toEqual([
      ['remit:external/pdp', 2],
      ['remit:external/pdp#2', 3],
    ]);
  });

  test('on a denial, or of a listing, is none', async () => {
    expect(await decider([point({ ...NO, stepUp: 'count=2' })]).decideCall(call())).toMatchObject({ verdict: 'deny' });
    const listed = decider([point({ ...YES, stepUp: 'count=2' }, { asks: new Set(['discover']) })]);
    expect(await listed.decideDiscovery(call())).toMatchObject({ verdict: 'permit' });
  });
});

describe('an answer is used again', () => {
  test('never, unless the owner says how long', async () => {
    const one = decider([point(YES)]);
    for (let time = 0; time < 3; time++) await one.decideCall(call());
    expect(asked).toHaveLength(3);
  });

  test('for that long, to the very same question', async () => {
    const one = decider([point(YES, { reuseMs: 1_000, arguments: new Map([[PAY, ['amount']]]) })]);
    await one.decideCall(call());
    now += 999;
    await one.decideCall(call());
    expect(asked).toHaveLength(1);
    await one.decideCall(call({ args: { amount: 6 } }));
    await one.decideCall(call(ofAlice));
    expect(asked).toHaveLength(3);
    now += 1;
    await one.decideCall(call());
    expect(asked).toHaveLength(4);
  });

  test('D1 by a clock that went back, or says nothing, it is not', async () => {
    const one = decider([point(YES, { reuseMs: 1_000 })]);
    await one.decideCall(call());
    now -= 1;
    await one.decideCall(call());
    expect(asked).toHaveLength(2);
  });

  test('D1 a fault never is', async () => {
    let isBroken = true;
    const ask: Ask = async (questions) => {
      if (isBroken) throw new Error('broken');
      return questions.map(() => YES);
    };
    const one = decider([point(ask, { reuseMs: 1_000 })]);
    expect((await one.decideCall(call())).verdict).toBe('deny');
    isBroken = false;
    expect((await one.decideCall(call())).verdict).toBe('permit');
  });

  test('I3 so many are kept, and no more', async () => {
    const one = decider([point(YES, { reuseMs: 1_000, arguments: new Map([[PAY, ['amount']]]) })]);
    for (let amount = 0; amount <= 1_000; amount++) await one.decideCall(call({ args: { amount } }));
    await one.decideCall(call({ args: { amount: 1_000 } }));
    expect(asked).toHaveLength(1_001);
    await one.decideCall(call({ args: { amount: 0 } }));
    expect(asked).toHaveLength(1_002);
  });
});
