import { describe, expect, it } from 'vitest';
import { createCedarEngine } from '../../src/adapters/policy/cedar-engine.ts';
import { loadPolicies } from '../../src/adapters/policy/load-policies.ts';
import type { Decision } from '../../src/domain/decision.ts';
import { NO_LABELS } from '../../src/domain/flow.ts';
import { type ToolRef, toolRef } from '../../src/domain/ids.ts';
import type { ToolProfile } from '../../src/domain/tool.ts';
import { type CallRequest, createDecider } from '../../src/policy/decide.ts';
import { createObserver, type Observation } from '../../src/policy/observe.ts';
import type { PolicyEngine } from '../../src/seams/policy-engine.ts';
import {
  ALICE,
  INVENTORY,
  NOW,
  PAY,
  QUERY,
  samplePrincipal,
  sampleTask,
  sampleTemplate,
  sampleTool,
} from './samples.ts';

const LONG: Observation = { of: 'agent', id: 'orders-bot', until: NOW + 60_000 };
const CLOSED = '@id("closed")\nforbid (principal, action, resource);\n';

function ask(
  policies: string | PolicyEngine,
  observations: readonly Observation[],
  more: Partial<CallRequest> & { ref?: ToolRef; now?: number } = {},
): Decision {
  const { ref = QUERY, now = NOW, ...rest } = more;
  const engine =
    typeof policies === 'string'
      ? createCedarEngine(loadPolicies([{ path: 'p.cedar', text: policies }], INVENTORY))
      : policies;
  const decider = createDecider({
    engine: () => engine,
    environment: 'dev',
    labelsOf: () => NO_LABELS,
    clock: () => now,
    observer: createObserver(observations, () => now),
  });
  const task = rest.task ?? sampleTask();
  return decider.decideCall({
    principal: samplePrincipal(),
    task,
    template: sampleTemplate(),
    tool: sampleTool(ref),
    args: ref === PAY ? { amount: 5 } : { sql: 'select 1' },
    callsLeft: 5,
    ...rest,
  }) as Decision;
}

describe('a denial that is only observed', () => {
  it('is let through and says what would have denied it: of an agent, a template, a connector', () => {
    for (const one of [
      LONG,
      { ...LONG, of: 'template', id: 'orders' },
      { ...LONG, of: 'connector', id: 'shop_db' },
    ] as const) {
      expect(ask(CLOSED, [one])).toMatchObject({
        verdict: 'permit',
        wouldDeny: { gate: 'agent_policy', policies: ['closed'], reason: 'Forbidden by policy closed.' },
      });
    }
    expect(ask('', [LONG])).toMatchObject({ verdict: 'permit', wouldDeny: { policies: [] } });
  });

  it('D1 others, and from its end on, are denied as ever', () => {
    for (const one of [
      { ...LONG, id: 'helper' },
      { ...LONG, of: 'template', id: 'other' },
      { ...LONG, of: 'connector', id: 'files' },
      { ...LONG, of: 'connector', id: 'orders-bot' },
    ] as const)
      expect(ask(CLOSED, [one])).toMatchObject({ verdict: 'deny', policies: ['closed'] });
    expect(ask(CLOSED, [LONG], { now: LONG.until })).toMatchObject({ verdict: 'deny' });
    expect(ask(CLOSED, [])).toMatchObject({ verdict: 'deny' });
  });

  it('from an engine that answers later, too', async () => {
    const later = (isJudged: boolean): PolicyEngine => ({
      version: 'v',
      evaluate: async () => ({ verdict: 'deny', policies: ['closed'], reason: 'no', nextStep: undefined, isJudged }),
    });
    expect(await ask(later(true), [LONG])).toMatchObject({ verdict: 'permit', wouldDeny: { policies: ['closed'] } });
    expect(await ask(later(false), [LONG])).toMatchObject({ verdict: 'deny', policies: ['closed'] });
    expect(await ask(later(true), [])).toMatchObject({ verdict: 'deny', policies: ['closed'] });
  });

  it('a permit says nothing of it', () => {
    const permitted = ask('@id("open")\npermit (principal, action, resource);\n', [LONG]);
    expect(permitted).toMatchObject({ verdict: 'permit', policies: ['open'] });
    expect(permitted).not.toHaveProperty('wouldDeny');
  });

  it('each link is asked all the same: another one’s hold is a hold', () => {
    const policies = `@id("agent")\npermit (principal is Remit::Agent, action, resource);
@id("hold") @step_up("count=2")\nforbid (principal is Remit::Agent, action, resource);\n`;
    const principal = samplePrincipal({ user: ALICE });
    const decision = ask(policies, [LONG], { principal, task: sampleTask({ user: ALICE }) });
    expect(decision).toMatchObject({
      verdict: 'step_up',
      policies: ['hold'],
      wouldDeny: { gate: 'user_policy', policies: [] },
    });
  });

  it.each([
    [
      'what a person would have to lift, where nothing permits it',
      '@id("hold") @step_up("")\nforbid (principal, action, resource);\n',
    ],
    [
      'what a person would have to lift, where it is forbidden as well',
      `@id("open")\npermit (principal, action, resource);\n@id("hold") @step_up("")\nforbid (principal, action, resource);\n${CLOSED}`,
    ],
  ])('D5 is not let through: %s', (_, policies) => {
    expect(ask(policies, [LONG])).toMatchObject({ verdict: 'deny' });
  });

  it.each<[string, Partial<ToolProfile>]>([
    ['money by class', { actionClass: 'financial' }],
    ['rights', { actionClass: 'privilege' }],
    ['secrets', { actionClass: 'secret' }],
    ...(['money', 'admin', 'destroy'] as const).map((sink): [string, Partial<ToolProfile>] => [
      `the sink ${sink}`,
      {
        flow: {
          trust: 'trusted',
          fields: [],
          resource: [],
          format: 'json',
          sink,
          critical: [],
          destinations: [],
          asked: [],
          inverse: undefined,
        },
      },
    ]),
  ])('D1 is never let through: %s', (_, more) => {
    const engine: PolicyEngine = {
      version: 'v',
      evaluate: () => ({ verdict: 'deny', policies: ['closed'], reason: 'no', nextStep: undefined, isJudged: true }),
    };
    const tool = sampleTool(QUERY);
    const isFinancial = more.actionClass !== undefined;
    const bounds = { ...sampleTask().bounds, actionClasses: [more.actionClass ?? ('read' as const)] };
    const asked = {
      tool: { ...tool, profile: { ...(tool.profile as ToolProfile), ...more } },
      task: sampleTask({ bounds }),
      template: sampleTemplate({ bounds }),
    };
    expect(ask(engine, [LONG], asked)).toMatchObject({ verdict: 'deny', gate: 'agent_policy', policies: ['closed'] });
    expect(isFinancial || more.flow !== undefined).toBe(true);
    const harmless = { ...asked, tool, task: sampleTask(), template: sampleTemplate() };
    expect(ask(engine, [LONG], harmless)).toMatchObject({ verdict: 'permit' });
  });

  it('D1 what is no policy’s word denies: faults of the engine, its silence, other gates', () => {
    const faulty = (answer: object): PolicyEngine => ({ version: 'v', evaluate: () => answer as never });
    expect(ask(faulty({ verdict: 'deny', policies: [], reason: 'broken', nextStep: 'x' }), [LONG])).toMatchObject({
      verdict: 'deny',
    });
    expect(ask(faulty({ verdict: 'maybe', policies: [], reason: '', isJudged: true }), [LONG])).toMatchObject({
      verdict: 'deny',
    });
    const throwing: PolicyEngine = {
      version: 'v',
      evaluate: () => {
        throw new Error('x');
      },
    };
    expect(ask(throwing, [LONG])).toMatchObject({ verdict: 'deny', gate: 'fault' });
    expect(ask(CLOSED, [LONG], { callsLeft: 0 })).toMatchObject({ verdict: 'deny', gate: 'budget' });
    expect(ask(CLOSED, [LONG], { tool: sampleTool(QUERY, { status: 'quarantined' }) })).toMatchObject({
      gate: 'profile',
    });
    expect(ask(CLOSED, [LONG], { task: sampleTask({ state: 'suspended' }) })).toMatchObject({
      verdict: 'deny',
      gate: 'task',
    });
    expect(
      ask(CLOSED, [LONG], { tool: sampleTool(toolRef('other' as never, 'x'), { profile: sampleTool(QUERY).profile }) }),
    ).toMatchObject({ verdict: 'deny', gate: 'task' });
  });

  it('D1 an erring policy and an unknown item are no judgement', () => {
    const erring = `@id("erring")\npermit (principal, action == Remit::Action::"shop_db/query", resource)
when { context.args has limit && context.args.limit * 9007199254740991 * 9007199254740991 > 0 };\n`;
    expect(ask(erring, [LONG], { args: { sql: 'x', limit: 3 } })).toMatchObject({ verdict: 'deny' });
  });
});
