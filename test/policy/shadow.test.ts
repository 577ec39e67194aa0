import { beforeEach, describe, expect, it } from 'vitest';
import { createCedarEngine } from '../../src/adapters/policy/cedar-engine.ts';
import { loadPolicies } from '../../src/adapters/policy/load-policies.ts';
import type { Decision } from '../../src/domain/decision.ts';
import { type FlowLabels, NO_LABELS } from '../../src/domain/flow.ts';
import { type CallRequest, createDecider, type Decider } from '../../src/policy/decide.ts';
import { createObserver } from '../../src/policy/observe.ts';
import { createShadow, type Difference, type ShadowRun, withShadow } from '../../src/policy/shadow.ts';
import type { PolicyEngine } from '../../src/seams/policy-engine.ts';
import { INVENTORY, NOW, QUERY, samplePrincipal, sampleTask, sampleTemplate, sampleTool } from './samples.ts';

const OPEN = '@id("open")\npermit (principal, action, resource);\n';
const CLOSED = `${OPEN}@id("closed")\nforbid (principal, action, resource);\n`;
const TRUSTED = `${OPEN}@id("tainted")\nforbid (principal, action in Remit::Action::"read", resource) when { context.labels.trust == "untrusted" };\n`;
const TAINTED: FlowLabels = { ...NO_LABELS, trust: 'untrusted' };

const engineOf = (text: string) => createCedarEngine(loadPolicies([{ path: 'p.cedar', text }], INVENTORY));
const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

let later: (() => void)[] = [];
beforeEach(() => {
  later = [];
});
const runLater = (): void => {
  for (let work = later.shift(); work !== undefined; work = later.shift()) work();
};

function shadowOf(engine: PolicyEngine, clock = () => NOW) {
  const differing: Difference[] = [];
  let failing = 0;
  const run: ShadowRun = createShadow({
    engine,
    environment: 'dev',
    clock,
    schedule: (_, work) => {
      later.push(work);
      return () => {
        later = later.filter((one) => one !== work);
      };
    },
    log,
    onResult: () => {},
    onDiffering: (difference) => differing.push(difference),
    onFailing: () => {
      failing += 1;
    },
  });
  return { run, differing, failing: () => failing };
}

interface Beside {
  readonly labels?: () => FlowLabels;
  readonly clock?: () => number;
  readonly isObserved?: boolean;
}

/** Policies in force, with a shadow beside them. */
function beside(policies: string | PolicyEngine, run: ShadowRun | undefined, more: Beside = {}) {
  const { labels = () => NO_LABELS, clock = () => NOW, isObserved = false } = more;
  const engine = typeof policies === 'string' ? engineOf(policies) : policies;
  const observer = isObserved
    ? createObserver([{ of: 'agent', id: 'orders-bot', until: NOW + 60_000 }], clock)
    : undefined;
  const decider = createDecider({ engine: () => engine, environment: 'dev', labelsOf: labels, clock, observer });
  return withShadow(decider, { run }, labels);
}

const ask = (decider: Decider, request = callOf()): Decision => decider.decideCall(request) as Decision;

const callOf = (more: Partial<CallRequest> = {}): CallRequest => ({
  principal: samplePrincipal(),
  task: sampleTask(),
  template: sampleTemplate(),
  tool: sampleTool(QUERY),
  args: { sql: 'select 1' },
  callsLeft: 5,
  span: '00f067aa0ba902b7',
  ...more,
});

describe('shadow policies', () => {
  it('are asked after the call has its decision, which is what it would have been without them', () => {
    const { run, differing } = shadowOf(engineOf(CLOSED));
    const request = callOf();
    const decision = ask(beside(OPEN, run), request);
    expect(decision).toEqual(beside(OPEN, undefined).decideCall(request));
    expect(run.counts).toEqual({ same: 0, differing: 0, failed: 0, dropped: 0 });
    runLater();
    expect(run.counts).toEqual({ same: 0, differing: 1, failed: 0, dropped: 0 });
    expect(differing).toMatchObject([
      { request, from: { verdict: 'permit', policies: ['open'] }, to: { verdict: 'deny', policies: ['closed'] } },
    ]);
    expect(run.changes()).toMatchObject([
      { agent: 'orders-bot', tool: QUERY, from: 'permit', to: 'deny', by: ['closed'], count: 1, unjudged: [] },
    ]);
  });

  it('judge as of the call: what its task has read since, and that it is over by now, is nothing to them', () => {
    let labels = NO_LABELS;
    let now = NOW;
    const { run } = shadowOf(engineOf(TRUSTED), () => now);
    const decider = beside(OPEN, run, { labels: () => labels, clock: () => now });
    ask(decider);
    labels = TAINTED;
    ask(decider);
    now = sampleTask().expiresAt + 1;
    runLater();
    expect(run.counts).toMatchObject({ same: 1, differing: 1, failed: 0 });
  });

  it('compare with what policies said, where that is only observed', () => {
    const { run } = shadowOf(engineOf(CLOSED));
    expect(beside(CLOSED, run, { isObserved: true }).decideCall(callOf())).toMatchObject({ verdict: 'permit' });
    runLater();
    expect(run.counts).toMatchObject({ same: 1, differing: 0 });
  });

  it('a call that is decided twice, as for decision points outside, is one', () => {
    const { run } = shadowOf(engineOf(OPEN));
    const request = callOf();
    const decider = beside(OPEN, run);
    ask(decider, request);
    ask(decider, request);
    runLater();
    expect(run.counts).toMatchObject({ same: 1 });
  });

  it.each<[string, PolicyEngine['evaluate']]>([
    [
      'throws',
      () => {
        throw new Error('broken');
      },
    ],
    ['answers nothing', () => undefined as never],
    ['denies everything as it has failed', () => ({ verdict: 'deny', policies: [], reason: 'failed', nextStep: '' })],
    ['answers some time', async () => ({ verdict: 'permit', policies: ['late'], reason: 'late', nextStep: '' })],
  ])('D1 one that %s touches no call, is no difference, and is told as failing', (_title, evaluate) => {
    const { run, differing, failing } = shadowOf({ version: 'broken', evaluate });
    const decider = beside(OPEN, run);
    for (let call = 0; call < 150; call += 1) expect(ask(decider)).toMatchObject({ verdict: 'permit' });
    runLater();
    expect(run.counts).toEqual({ same: 0, differing: 0, failed: 150, dropped: 0 });
    expect(differing).toEqual([]);
    expect(failing()).toBe(1);
  });

  it('I3 what waits is bounded: more is counted, not kept; a turn is a few calls', () => {
    const { run } = shadowOf(engineOf(OPEN));
    const decider = beside(OPEN, run);
    for (let call = 0; call < 1_200; call += 1) ask(decider);
    expect(run.counts.dropped).toBe(200);
    later.shift()?.();
    expect(run.counts.same).toBe(16);
    expect(later).toHaveLength(1);
    run.stop();
    expect(later).toEqual([]);
    ask(decider);
    runLater();
    expect(run.counts).toMatchObject({ same: 16, dropped: 200 });
  });

  it('wait for an engine in force that answers later', async () => {
    const inForce = engineOf(OPEN);
    const { run } = shadowOf(engineOf(CLOSED));
    const late: PolicyEngine = { version: inForce.version, evaluate: async (request) => inForce.evaluate(request) };
    await expect(beside(late, run).decideCall(callOf())).resolves.toMatchObject({ verdict: 'permit' });
    runLater();
    expect(run.counts).toMatchObject({ differing: 1 });
  });
});
