import { describe, expect, test } from 'vitest';
import type { AccessRequest } from '../../src/domain/decision.ts';
import { NO_LABELS } from '../../src/domain/flow.ts';
import { agentId, taskId, templateId, tenantId } from '../../src/domain/ids.ts';
import { type CallRequest, createDecider, type DeciderOptions } from '../../src/policy/decide.ts';
import type { PolicyAnswer, PolicyEngine } from '../../src/seams/policy-engine.ts';
import {
  ALICE,
  FILES,
  NOW,
  PAY,
  QUERY,
  SHOP,
  samplePrincipal,
  sampleTask,
  sampleTemplate,
  sampleTool,
} from './samples.ts';

const permit: PolicyAnswer = { verdict: 'permit', policies: ['p'], reason: 'Fine.', nextStep: undefined };
const deny: PolicyAnswer = { verdict: 'deny', policies: ['f'], reason: 'No.', nextStep: 'Ask.' };
const fake = (evaluate: PolicyEngine['evaluate']): PolicyEngine => ({ version: 'sha256:v', evaluate });

function decider(evaluate: PolicyEngine['evaluate'] = () => permit, more: Partial<DeciderOptions> = {}) {
  return createDecider({
    engine: () => fake(evaluate),
    environment: 'prod',
    labelsOf: () => NO_LABELS,
    clock: () => NOW,
    ...more,
  });
}

function call(more: Partial<CallRequest> = {}): CallRequest {
  return {
    principal: samplePrincipal(),
    task: sampleTask(),
    template: sampleTemplate(),
    tool: sampleTool(QUERY),
    args: { sql: 'select 1' },
    callsLeft: 10,
    ...more,
  };
}

const bounds = sampleTask().bounds;
const chain = { user: ALICE, actors: [agentId('helper'), agentId('third')] };
const ofAlice = { principal: samplePrincipal(chain), task: sampleTask({ user: ALICE }) };

test('permits when every gate does, and says by what', () => {
  expect(decider().decideCall(call())).toEqual({
    verdict: 'permit',
    gate: 'agent_policy',
    policies: ['p'],
    reason: 'Fine.',
    nextStep: 'Go on.',
    policyVersion: 'sha256:v',
  });
});

describe('D1 D3 each gate denies by itself', () => {
  const cases: [string, string, string, Partial<CallRequest>][] = [
    [
      'an undescribed tool',
      'profile',
      'remit:undescribed',
      { tool: sampleTool(QUERY, { status: 'undescribed', profile: undefined }) },
    ],
    [
      'a tool without profile, whatever its status',
      'profile',
      'remit:undescribed',
      { tool: sampleTool(QUERY, { profile: undefined }) },
    ],
    [
      'a status that is not known',
      'profile',
      'remit:undescribed',
      { tool: sampleTool(QUERY, { status: 'new' as 'described' }) },
    ],
    ['a quarantined tool', 'profile', 'remit:quarantined', { tool: sampleTool(QUERY, { status: 'quarantined' }) }],
    [
      'a tool of a suspended connector',
      'profile',
      'remit:suspended',
      { tool: sampleTool(QUERY, { status: 'suspended' }) },
    ],
    ['a suspended task', 'task', 'remit:suspended', { task: sampleTask({ state: 'suspended' }) }],
    ['an ended task', 'task', 'remit:task-ended', { task: sampleTask({ state: 'ended', endReason: 'revoked' }) }],
    ['a task in no known state', 'task', 'remit:task-ended', { task: sampleTask({ state: 'new' as 'active' }) }],
    ['a task that expires now', 'task', 'remit:task-ended', { task: sampleTask({ expiresAt: NOW }) }],
    ['a task whose expiry is no number', 'task', 'remit:task-ended', { task: sampleTask({ expiresAt: Number.NaN }) }],
    ['another task’s token', 'task', 'remit:task-principal', { principal: samplePrincipal({ task: taskId('tsk_2') }) }],
    ['another tenant', 'task', 'remit:task-principal', { principal: samplePrincipal({ tenant: tenantId('other') }) }],
    ['another agent', 'task', 'remit:task-principal', { principal: samplePrincipal({ agent: agentId('helper') }) }],
    [
      'a user the task was not started for',
      'task',
      'remit:task-principal',
      { principal: samplePrincipal({ user: ALICE }) },
    ],
    ['a user who went missing', 'task', 'remit:task-principal', { task: sampleTask({ user: ALICE }) }],
    [
      'the same subject of another issuer',
      'task',
      'remit:task-principal',
      {
        principal: samplePrincipal({ user: { ...ALICE, issuer: 'https://evil.example' } }),
        task: sampleTask({ user: ALICE }),
      },
    ],
    [
      'a tool outside the task',
      'task',
      'remit:task-tool',
      { task: sampleTask({ bounds: { ...bounds, tools: [PAY, 'files/*'] } }) },
    ],
    [
      'a class outside the task',
      'task',
      'remit:task-class',
      { task: sampleTask({ bounds: { ...bounds, actionClasses: ['write'] } }) },
    ],
    ['a template that is gone', 'task', 'remit:template', { template: undefined }],
    ['another template', 'task', 'remit:template', { template: sampleTemplate({ id: templateId('other') }) }],
    [
      'a template now closed to the agent',
      'task',
      'remit:template',
      { template: sampleTemplate({ agents: [agentId('helper')] }) },
    ],
    [
      'a template that now requires a user',
      'task',
      'remit:template',
      { template: sampleTemplate({ requiresUser: true }) },
    ],
    [
      'a template that now allows less time',
      'task',
      'remit:template',
      { template: sampleTemplate({ maxDurationSeconds: 1 }) },
    ],
    [
      'a tool now outside the template',
      'task',
      'remit:template',
      { template: sampleTemplate({ bounds: { ...bounds, tools: [PAY] } }) },
    ],
    [
      'a class now outside the template',
      'task',
      'remit:template',
      { template: sampleTemplate({ bounds: { ...bounds, actionClasses: ['financial'] } }) },
    ],
    ['a spent budget', 'budget', 'remit:budget', { callsLeft: 0 }],
    ['a budget below nought', 'budget', 'remit:budget', { callsLeft: -1 }],
    ['a budget that is no number', 'budget', 'remit:budget', { callsLeft: Number.NaN }],
    ['a budget without end', 'budget', 'remit:budget', { callsLeft: Number.POSITIVE_INFINITY }],
    ['a budget that is missing', 'budget', 'remit:budget', { callsLeft: undefined as unknown as number }],
    ['a budget that is a text', 'budget', 'remit:budget', { callsLeft: '5' as unknown as number }],
    [
      'a budget that the template has cut since',
      'budget',
      'remit:budget',
      { callsLeft: 6, template: sampleTemplate({ bounds: { ...bounds, calls: 4 } }) },
    ],
    ['a missing argument', 'arguments', 'remit:arguments', { args: {} }],
    ['arguments that are no object', 'arguments', 'remit:arguments', { args: [] }],
  ];

  test.each(cases)('D1 %s', (_, gate, rule, more) => {
    let asked = 0;
    const decision = decider(() => {
      asked += 1;
      return permit;
    }).decideCall(call(more));
    expect(decision).toMatchObject({ verdict: 'deny', gate, policies: [rule], policyVersion: 'sha256:v' });
    expect(decision).toMatchObject({ reason: expect.stringMatching(/\.$/), nextStep: expect.stringMatching(/\.$/) });
    expect(asked).toBe(0);
  });

  test('the cases are about one thing each: without it the call is permitted', () => {
    expect(decider().decideCall(call())).toMatchObject({ verdict: 'permit' });
    expect(decider().decideCall(call(ofAlice))).toMatchObject({ verdict: 'permit' });
    const cut = { callsLeft: 7, template: sampleTemplate({ bounds: { ...bounds, calls: 4 } }) };
    expect(decider().decideCall(call(cut))).toMatchObject({ verdict: 'permit' });
  });

  test.each([
    ['user', 'user_policy', `${ALICE.issuer}#alice`],
    ['agent', 'agent_policy', 'orders-bot'],
    ['nearest actor', 'actor_policy', 'helper'],
    ['farthest actor', 'actor_policy', 'third'],
  ])('D3 the %s must be permitted by policy too', (_, gate, id) => {
    const decision = decider(({ subject }) => (subject.id === id ? deny : permit)).decideCall(call(ofAlice));
    expect(decision).toMatchObject({ verdict: 'deny', gate, policies: ['f'], reason: 'No.', nextStep: 'Ask.' });
  });

  test('D3 every link is asked for itself, with its own groups, and all policies that permitted are named', () => {
    const seen: AccessRequest[] = [];
    const decision = decider((request) => {
      seen.push(request);
      return { ...permit, policies: [`by-${request.subject.id}`], reason: `${request.subject.id}.` };
    }).decideCall(call(ofAlice));
    expect(seen.map(({ subject }) => subject)).toEqual([
      { kind: 'user', id: 'https://idp.example#alice', groups: ['https://idp.example#support'] },
      { kind: 'agent', id: 'orders-bot', groups: [] },
      { kind: 'agent', id: 'helper', groups: [] },
      { kind: 'agent', id: 'third', groups: [] },
    ]);
    for (const { action, context, resource } of seen) {
      expect({ action, values: context.arguments, tool: resource.tool }).toEqual({
        action: 'call',
        values: { sql: 'select 1' },
        tool: QUERY,
      });
    }
    expect(decision).toMatchObject({
      verdict: 'permit',
      gate: 'actor_policy',
      policies: ['by-https://idp.example#alice', 'by-orders-bot', 'by-helper', 'by-third'],
    });
  });
});

describe('D1 faults deny', () => {
  const fault = { verdict: 'deny', gate: 'fault', policies: ['remit:fault'] };
  const broken = () => {
    throw new Error('broken');
  };

  test('D1 an engine that throws, rejects or answers nonsense', async () => {
    expect(decider(broken).decideCall(call())).toMatchObject(fault);
    expect(decider(() => undefined as never).decideCall(call())).toMatchObject(fault);
    expect(decider(() => null as never).decideDiscovery(call())).toMatchObject(fault);
    expect(await decider(() => Promise.reject(new Error('x'))).decideCall(call())).toMatchObject(fault);
    expect(await decider(async () => undefined as never).decideCall(call())).toMatchObject(fault);
    for (const verdict of ['allow', 'PERMIT', true, undefined, 'step_up']) {
      expect(decider(() => ({ ...permit, verdict }) as never).decideCall(call())).toMatchObject({ verdict: 'deny' });
    }
  });

  test('D1 no engine, a clock that throws, a request without parts', () => {
    expect(decider(undefined, { engine: broken }).decideCall(call())).toMatchObject({
      ...fault,
      policyVersion: 'none',
    });
    expect(decider(undefined, { clock: broken }).decideCall(call())).toMatchObject(fault);
    for (const part of ['principal', 'task', 'tool'] as const) {
      expect(decider().decideCall(call({ [part]: undefined }))).toMatchObject(fault);
    }
    expect(decider().decideCall(undefined as never)).toMatchObject(fault);
  });

  test.each([
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    undefined,
    '1750000000000',
    NOW - 1_000 - 300_001,
  ])('D1 a clock that says %s', (now) => {
    const decide = decider(undefined, { clock: () => now as number });
    expect(decide.decideCall(call())).toMatchObject({ verdict: 'deny', gate: 'fault', policies: ['remit:clock'] });
    expect(decide.decideDiscovery(call())).toMatchObject({ verdict: 'deny', gate: 'fault' });
  });

  test('a clock a little before the task’s start is skew', () => {
    expect(decider(undefined, { clock: () => NOW - 1_000 - 300_000 }).decideCall(call())).toMatchObject({
      verdict: 'permit',
    });
  });

  test('D1 a fault is logged without arguments, and a log that fails does not matter', () => {
    const seen: unknown[] = [];
    const nothing = () => undefined;
    const error = (...entry: unknown[]) => {
      seen.push(entry);
      throw new Error('disk full');
    };
    const log = { debug: nothing, info: nothing, warn: nothing, error };
    expect(decider(broken, { log }).decideCall(call())).toMatchObject(fault);
    expect(seen).toHaveLength(1);
    expect(JSON.stringify(seen)).not.toContain('select 1');
  });
});

describe('an engine that answers later', () => {
  test('is asked link by link, and stops at the first denial', async () => {
    const asked: string[] = [];
    const decide = decider(async ({ subject }) => {
      asked.push(subject.id);
      return subject.id === 'helper' ? deny : permit;
    });
    expect(await decide.decideCall(call(ofAlice))).toMatchObject({ verdict: 'deny', gate: 'actor_policy' });
    expect(asked).toEqual(['https://idp.example#alice', 'orders-bot', 'helper']);
    expect(await decide.decideCall(call())).toMatchObject({ verdict: 'permit', policies: ['p'] });
  });

  test('D1 cannot outlast the task: the clock is read again', async () => {
    let now = NOW;
    const decide = decider(
      async () => {
        now = NOW + 600_000;
        return permit;
      },
      { clock: () => now },
    );
    expect(await decide.decideCall(call())).toMatchObject({
      verdict: 'deny',
      gate: 'task',
      policies: ['remit:task-ended'],
    });
  });

  test('one version judges the whole decision, also when policies are replaced meanwhile', async () => {
    let version = 'sha256:old';
    const decide = createDecider({
      environment: 'prod',
      labelsOf: () => NO_LABELS,
      clock: () => NOW,
      engine: () => {
        const own = version;
        return {
          version: own,
          evaluate: async () => {
            version = 'sha256:new';
            return { ...permit, policies: [own] };
          },
        };
      },
    });
    expect(await decide.decideCall(call(ofAlice))).toMatchObject({
      policyVersion: 'sha256:old',
      policies: ['sha256:old'],
    });
  });
});

describe('D2 discovery is not authorisation', () => {
  const by = (allowed: AccessRequest['action']) => decider(({ action }) => (action === allowed ? permit : deny));

  test('D2 a tool may be listed and not called, and called and not listed', () => {
    expect(by('discover').decideDiscovery(call())).toMatchObject({ verdict: 'permit' });
    expect(by('discover').decideCall(call())).toMatchObject({ verdict: 'deny', gate: 'agent_policy' });
    expect(by('call').decideDiscovery(call())).toMatchObject({ verdict: 'deny', gate: 'agent_policy' });
    expect(by('call').decideCall(call())).toMatchObject({ verdict: 'permit' });
  });

  test('D2 a listing needs neither arguments nor budget, and shows policies none', () => {
    const seen: AccessRequest[] = [];
    const decide = decider((request) => {
      seen.push(request);
      return permit;
    });
    const { principal, task, template, tool } = call();
    expect(decide.decideDiscovery({ principal, task, template, tool })).toMatchObject({ verdict: 'permit' });
    expect(decide.decideDiscovery({ ...call({ args: 'x', callsLeft: 0 }) })).toMatchObject({ verdict: 'permit' });
    expect(seen.map(({ action, context }) => [action, context.arguments])).toEqual([
      ['discover', {}],
      ['discover', {}],
    ]);
  });

  test.each([
    ['profile', { tool: sampleTool(QUERY, { status: 'quarantined' as const }) }],
    ['task', { task: sampleTask({ state: 'ended' as const }) }],
    ['task', { task: sampleTask({ bounds: { ...bounds, tools: [`${FILES}/*`] } }) }],
    ['task', { template: sampleTemplate({ bounds: { ...bounds, tools: [`${FILES}/*`] } }) }],
    ['task', { principal: samplePrincipal({ agent: agentId('helper') }) }],
  ])('D1 a listing is denied by the %s gate too', (gate, more) => {
    expect(decider().decideDiscovery(call(more))).toMatchObject({ verdict: 'deny', gate });
  });

  test('D3 a listing needs every link too', () => {
    const decide = decider(({ subject }) => (subject.kind === 'user' ? deny : permit));
    expect(decide.decideDiscovery(call(ofAlice))).toMatchObject({ verdict: 'deny', gate: 'user_policy' });
  });
});

test('a wildcard covers the tools of its connector only', () => {
  const only = (tools: string[]) => call({ task: sampleTask({ bounds: { ...bounds, tools } }) });
  expect(decider().decideCall(only([`${SHOP}/*`]))).toMatchObject({ verdict: 'permit' });
  expect(decider().decideCall(only(['shop/*', '*', '*/*', 'shop_db', 'shop_db/quer', 'shop_db/query2']))).toMatchObject(
    {
      verdict: 'deny',
    },
  );
});
