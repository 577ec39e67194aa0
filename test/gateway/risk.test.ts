import { describe, expect, it } from 'vitest';
import type { AccessRequest } from '../../src/domain/decision.ts';
import { NO_RISK } from '../../src/domain/risk.ts';
import type { GovernedTool } from '../../src/domain/tool.ts';
import { handleMethod } from '../../src/gateway/methods/handle-method.ts';
import type { Operation } from '../../src/gateway/operation.ts';
import { Dialogue } from '../../src/gateway/stages/dialogue.ts';
import { createDecider } from '../../src/policy/decide.ts';
import { makeRisk, settled } from '../risk/fake-risk.ts';
import {
  CONNECTOR,
  decision,
  type FakeGateway,
  type FakeOptions,
  makeClientRequest,
  makeGateway,
  makeTask,
  makeTool,
  NOW,
} from '../support/fake-gateway-parts.ts';

const task = makeTask('tsk_a', 'helper', 50);
const ORDERS = makeTool('orders');
const WRITE: GovernedTool = {
  ...makeTool('refund'),
  profile: { ...(makeTool('refund').profile as NonNullable<GovernedTool['profile']>), actionClass: 'write' },
};
const ofTask = { kind: 'task', id: task.id } as const;
const RULES = { rules: { task: { holdReads: false, hold: 'high', suspend: 'critical' } } } as const;

function make(options: FakeOptions & Parameters<typeof makeRisk>[0] = RULES) {
  const risk = makeRisk(options);
  const fake = makeGateway({ tasks: [task], tools: [ORDERS, WRITE], ...options, risk });
  return { ...risk, fake };
}

const call = (fake: FakeGateway, item: { readonly exposedName: string }) =>
  handleMethod(fake.gateway, fake.caller(), makeClientRequest('tools/call', { name: item.exposedName, arguments: {} }));

const decisions = (fake: FakeGateway) =>
  fake.records.filter(({ type }) => type === 'decision').map(({ detail }) => detail);

describe('risk in a governed call', () => {
  it('nothing has happened: no record speaks of risk', async () => {
    const { fake } = make();
    await call(fake, WRITE);
    expect(decisions(fake)).toMatchObject([{ verdict: 'permit' }]);
    expect(decisions(fake)[0]).not.toHaveProperty('risk');
  });

  it('from its threshold on a change is held, and a read is not; both decisions say the levels', async () => {
    const { fake, levels } = make();
    levels.signal({ kind: 'external', what: 'told', subjects: [ofTask], points: 60 });
    const { reply } = await call(fake, WRITE);
    expect(reply).toMatchObject({ refusal: { decision: { gate: 'risk', policies: ['remit:risk'] } } });
    await call(fake, ORDERS);
    const risk = { ...NO_RISK, task: 'high' };
    expect(decisions(fake)).toMatchObject([
      { verdict: 'step_up', gate: 'risk', risk },
      { verdict: 'permit', risk },
    ]);
    expect(fake.forwarded).toHaveLength(1);
  });

  it('V2 at the level at which its task is suspended no call passes any more, whatever becomes of the order', async () => {
    const { fake, levels } = make({ ...RULES, order: () => new Promise(() => {}) });
    levels.signal({ kind: 'canary', what: 'touched', subjects: [ofTask] });
    await settled();
    for (const item of [WRITE, ORDERS]) {
      const { reply } = await call(fake, item);
      expect(reply).toMatchObject({
        refusal: { decision: { verdict: 'deny', gate: 'risk', policies: ['remit:risk'] } },
      });
    }
    expect(fake.forwarded).toEqual([]);
  });

  it('a denial stays one, and says the levels', async () => {
    const { fake, levels } = make({ ...RULES, decideCall: () => decision('deny') });
    levels.signal({ kind: 'external', what: 'told', subjects: [ofTask], points: 60 });
    await call(fake, WRITE);
    expect(decisions(fake)).toMatchObject([{ verdict: 'deny', gate: 'agent_policy', risk: { task: 'high' } }]);
  });

  it('R74 denials that come in a burst suspend the task: known tools, and names that are none, alike', async () => {
    const suspend = { rules: { task: { holdReads: false, suspend: 'high' } } } as const;
    const { fake, ordered, signals } = make({ ...suspend, decideCall: () => decision('deny') });
    await call(fake, WRITE);
    await call(fake, { exposedName: 'shop__nothing' });
    expect(ordered).toEqual([]);
    await call(fake, { exposedName: 'shop__nothing_either' });
    await settled();
    expect(signals()).toEqual(['denials']);
    expect(ordered).toEqual(['suspend task tsk_a']);
  });

  it('D1 a fault, and what risk itself denies, is no denial of the caller’s', async () => {
    const { fake, signals } = make({ ...RULES, decideCall: () => decision('deny', { gate: 'fault' }) });
    for (let at = 0; at < 5; at += 1) await call(fake, WRITE);
    expect(signals()).toEqual([]);
  });

  it('what a call does for the first time is known to the decision on that very call', async () => {
    const asked: AccessRequest['context']['risk'][] = [];
    const { fake, kept } = make({
      known: [{ scope: 'agent helper orders', kind: 'tool', value: 'shop/orders', firstAt: 1 }],
      decideCall: ({ risk = NO_RISK }) => {
        asked.push(risk);
        return decision('permit');
      },
    });
    await call(fake, ORDERS);
    await call(fake, WRITE);
    await call(fake, WRITE);
    expect(asked).toEqual([NO_RISK, { ...NO_RISK, task: 'elevated' }, { ...NO_RISK, task: 'elevated' }]);
    expect(kept.map(({ value }) => value)).toEqual(['shop/refund']);
  });

  it('a connector whose calls do not come back is riskier for everybody', async () => {
    const { fake, records } = make({
      reply: () => Promise.reject(new Error('broke off')),
    });
    const { recordOutcome } = await call(fake, ORDERS);
    recordOutcome?.();
    expect(records).toMatchObject([{ connector: CONNECTOR, detail: { signal: 'connector_fault' } }]);
  });

  it('D3 the answer to a server’s question is decided on with the levels of that moment', async () => {
    const asked: AccessRequest['context']['risk'][] = [];
    const { fake, levels } = make({
      decideCall: ({ risk = NO_RISK }) => {
        asked.push(risk);
        return decision('permit');
      },
    });
    await call(fake, ORDERS);
    levels.signal({ kind: 'external', what: 'told', subjects: [ofTask], points: 60 });
    const request = makeClientRequest('tools/call', { name: ORDERS.exposedName, arguments: {} });
    const operation = { item: ORDERS, args: {}, request, span: 's', method: 'tools/call' } as unknown as Operation;
    await new Dialogue(fake.gateway, fake.caller(), operation, []).redecide();
    expect(asked).toEqual([NO_RISK, { ...NO_RISK, task: 'high' }]);
  });

  it('D3 the decider hands the levels to the engine, and `low` where nobody says', async () => {
    const asked: AccessRequest[] = [];
    const decider = createDecider({
      engine: () => ({
        version: 'v',
        evaluate(request) {
          asked.push(request);
          return { verdict: 'permit', policies: [], reason: '', nextStep: undefined };
        },
      }),
      environment: 'test',
      labelsOf: () => ({ trust: 'trusted', dataClasses: [], zones: [] }),
      clock: () => NOW,
    });
    const template = {
      id: task.template,
      owner: 'o',
      purpose: 'p',
      agents: [task.agent],
      bounds: task.bounds,
      maxDurationSeconds: 3600,
      requiresUser: false,
    };
    const { fake } = make();
    const request = { ...fake.caller(), template, tool: ORDERS, args: {}, callsLeft: 5 };
    await decider.decideCall(request);
    await decider.decideCall({ ...request, risk: { ...NO_RISK, agent: 'high' } });
    expect(asked.map(({ context }) => context.risk)).toEqual([NO_RISK, { ...NO_RISK, agent: 'high' }]);
  });
});
