import { expect, test } from 'vitest';
import { type CedarRuntime, cedar } from '../../src/adapters/policy/cedar.ts';
import { createCedarEngine } from '../../src/adapters/policy/cedar-engine.ts';
import { loadPolicies } from '../../src/adapters/policy/load-policies.ts';
import { NO_LABELS } from '../../src/domain/flow.ts';
import { createDecider, type DeciderOptions } from '../../src/policy/decide.ts';
import type { PolicyAnswer, PolicyEngine } from '../../src/seams/policy-engine.ts';
import { INVENTORY, NOW, QUERY, samplePrincipal, sampleTask, sampleTemplate, sampleTool } from './samples.ts';

/** D6: whatever an engine does instead of answering, the call is denied, and says that it was a fault. */

const permit: PolicyAnswer = { verdict: 'permit', policies: ['p'], reason: 'Fine.', nextStep: undefined };
const timers: (() => void)[] = [];

function decide(engine: PolicyEngine | PolicyEngine['evaluate'], more: Partial<DeciderOptions> = {}) {
  const used = typeof engine === 'function' ? { version: 'sha256:v', evaluate: engine } : engine;
  return createDecider({
    engine: () => used,
    environment: 'prod',
    labelsOf: () => NO_LABELS,
    clock: () => NOW,
    schedule: (_, task) => {
      timers.push(task);
      return () => undefined;
    },
    ...more,
  }).decideCall({
    principal: samplePrincipal(),
    task: sampleTask(),
    template: sampleTemplate(),
    tool: sampleTool(QUERY),
    args: { sql: 'select 1' },
    callsLeft: 10,
  });
}

const fault = { verdict: 'deny', gate: 'fault', policies: ['remit:fault'], policyVersion: 'sha256:v' };
const broken = () => {
  throw new Error('broken');
};

test('D1 D6 an engine that throws denies', () => {
  expect(decide(broken)).toMatchObject(fault);
});

test('D1 D6 an engine that rejects denies', async () => {
  expect(await decide(async () => broken())).toMatchObject(fault);
});

test('D1 D6 an engine that never answers denies, within a bound', async () => {
  timers.length = 0;
  const decision = decide(() => new Promise(() => undefined));
  await expect.poll(() => timers.length).toBe(1);
  for (const timer of timers) timer();
  expect(await decision).toMatchObject(fault);
});

test('D1 D6 an engine that answers after its time has denied', async () => {
  timers.length = 0;
  let answer: (answer: PolicyAnswer) => void = () => undefined;
  const decision = decide(
    () =>
      new Promise((resolve) => {
        answer = resolve;
      }),
  );
  await expect.poll(() => timers.length).toBe(1);
  for (const timer of timers) timer();
  answer(permit);
  expect(await decision).toMatchObject(fault);
});

test.each<[string, unknown]>([
  ['nothing', undefined],
  ['null', null],
  ['a text', 'permit'],
  ['true', true],
  ['an object without members', {}],
  ['another verdict', { ...permit, verdict: 'allow' }],
  ['a verdict of other letters', { ...permit, verdict: 'PERMIT' }],
  ['a permit without policies', { verdict: 'permit', reason: 'Fine.' }],
  ['a permit whose policies are a text', { ...permit, policies: 'p' }],
  ['a permit without a reason', { ...permit, reason: undefined }],
  ['a hold without terms', { ...permit, verdict: 'step_up' }],
  ['a hold with no terms in its list', { ...permit, verdict: 'step_up', terms: [] }],
])('D1 D6 an answer that is malformed denies: %s', async (_, answer) => {
  expect(decide(() => answer as PolicyAnswer)).toMatchObject({ verdict: 'deny' });
  expect(await decide(async () => answer as PolicyAnswer)).toMatchObject({ verdict: 'deny' });
});

const loaded = loadPolicies(
  [
    {
      path: 'p.cedar',
      text: 'permit (principal, action, resource) when { context.task.expiresAt - context.task.startedAt > 0 };',
    },
  ],
  INVENTORY,
);
const engineOn = (statefulIsAuthorized: CedarRuntime['statefulIsAuthorized']) =>
  createCedarEngine(loaded, { ...cedar, statefulIsAuthorized });

test('such a policy permits where nothing fails', () => {
  expect(decide(engineOn(cedar.statefulIsAuthorized))).toMatchObject({ verdict: 'permit' });
});

test.each<[string, () => unknown]>([
  [
    'a trap in WebAssembly',
    () => {
      throw Object.assign(new Error('unreachable'), { name: 'RuntimeError' });
    },
  ],
  [
    'memory that is at its end',
    () => {
      throw new RangeError('Maximum call stack size exceeded');
    },
  ],
  ['a runtime that throws', broken],
  ['a failure answer', () => ({ type: 'failure', errors: [], warnings: [] })],
  ['an answer without a response', () => ({ type: 'success' })],
  ['an answer that is none', () => undefined],
  [
    'an allow that names no policy',
    () => ({ type: 'success', response: { decision: 'allow', diagnostics: { reason: [], errors: [] } } }),
  ],
])('D1 D6 inside Cedar, %s denies', (_, answer) => {
  expect(decide(engineOn(answer as never))).toMatchObject({ verdict: 'deny', gate: 'agent_policy' });
});
