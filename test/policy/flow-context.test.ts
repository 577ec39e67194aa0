import { expect, it } from 'vitest';
import { createCedarEngine } from '../../src/adapters/policy/cedar-engine.ts';
import { buildSchema } from '../../src/adapters/policy/cedar-schema.ts';
import { loadPolicies } from '../../src/adapters/policy/load-policies.ts';
import type { AccessRequest } from '../../src/domain/decision.ts';
import type { FlowLabels, FlowProfile } from '../../src/domain/flow.ts';
import { type CallRisk, NO_RISK } from '../../src/domain/risk.ts';
import type { ToolProfile } from '../../src/domain/tool.ts';
import { originsOf } from '../../src/flow/origins-of.ts';
import { INVENTORY, READ_FILE, sampleRequest } from './samples.ts';

/** What policies may say of what a task has read, and of where the values of a call come from. */

const flow: FlowProfile = {
  trust: 'untrusted',
  fields: [],
  format: 'json',
  sink: 'external',
  critical: [{ name: 'path', kind: undefined, from: 'nowhere' }],
  resource: [],
  destinations: [],
  asked: [],
  inverse: undefined,
};
const withFlow = (profile: ToolProfile): ToolProfile => ({ ...profile, flow });
const inventory = {
  ...INVENTORY,
  connectors: INVENTORY.connectors.map((connector) => ({
    ...connector,
    tools: connector.tools.map(({ name, profile }) => ({ name, profile: withFlow(profile) })),
  })),
};

const TEXT = `permit (principal, action, resource);
@id("no-secrets-outside")
forbid (principal, action in Remit::Action::"call", resource)
when { resource.sink == "external" && context.labels.dataClasses.contains("secret") };
@id("path-of-the-user")
forbid (principal, action == Remit::Action::"${READ_FILE}", resource)
when { context.labels.trust == "untrusted" && context.provenance has path && context.provenance.path != "user" };`;

function ask(labels: FlowLabels, provenance: AccessRequest['context']['provenance'], reuse: boolean) {
  const engine = createCedarEngine({
    ...loadPolicies([{ path: 'p.cedar', text: TEXT }], inventory),
    compile: !reuse,
    reuse,
  });
  const request = sampleRequest(READ_FILE);
  const { policies } = engine.evaluate({
    ...request,
    resource: { ...request.resource, profile: withFlow(request.resource.profile) },
    context: { ...request.context, labelsOf: () => labels, provenance },
  });
  engine.release();
  return policies;
}

const labels = (trust: FlowLabels['trust'], ...dataClasses: string[]): FlowLabels => ({
  trust,
  dataClasses,
  zones: [],
});

it.each([
  ['evaluated in process', false],
  ['asked of Cedar', true],
])('D6 labels and provenance decide where policies read them: %s', (_, reuse) => {
  expect(ask(labels('trusted'), {}, reuse)).toEqual(['p.cedar#1']);
  expect(ask(labels('trusted', 'secret'), {}, reuse)).toEqual(['no-secrets-outside']);
  expect(ask(labels('untrusted'), { path: 'text' }, reuse)).toEqual(['path-of-the-user']);
  expect(ask(labels('untrusted'), { path: 'user' }, reuse)).toEqual(['p.cedar#1']);
  expect(ask(labels('trusted'), { path: 'text' }, reuse)).toEqual(['p.cedar#1']);
});

it('D1 a label that is not in the schema is an error of the policy, and of a listing there are none', () => {
  const load = (body: string) => () => loadPolicies([{ path: 'p.cedar', text: body }], inventory);
  expect(
    load('permit (principal, action in Remit::Action::"call", resource) when { context.labels.mood == "good" };'),
  ).toThrow();
  expect(
    load(
      'permit (principal, action == Remit::Action::"discover", resource) when { context.labels.trust == "trusted" };',
    ),
  ).toThrow();
});

it('the version of the policies is another when a profile says otherwise of flow', () => {
  const versionOf = (of: typeof INVENTORY) => {
    const engine = createCedarEngine(
      loadPolicies([{ path: 'p.cedar', text: 'permit (principal, action, resource);' }], of),
    );
    engine.release();
    return engine.version;
  };
  expect(versionOf(inventory)).not.toBe(versionOf(INVENTORY));
  expect(buildSchema(inventory)).toContain('provenance: { "path"?: String }');
});

it('of an argument with several values the least good origin counts', () => {
  const value = (name: string, origin: 'user' | 'text' | 'pointed') => ({
    name,
    argument: name,
    origin,
    needed: 'user' as const,
  });
  expect(originsOf([value('to', 'user'), value('to', 'text'), value('to', 'pointed'), value('cc', 'user')])).toEqual({
    to: 'text',
    cc: 'user',
  });
});

it.each([
  ['evaluated in process', false],
  ['asked of Cedar', true],
])('D6 risk decides where policies read it, and no answer is reused across levels: %s', (_, reuse) => {
  const text = `permit (principal, action, resource);
@id("unsure")
forbid (principal, action in Remit::Action::"call", resource) when { ["high", "critical"].contains(context.risk.task) };
@id("bad-agent")
forbid (principal, action in Remit::Action::"call", resource) when { context.risk.agent == "critical" };`;
  const engine = createCedarEngine({ ...loadPolicies([{ path: 'p.cedar', text }], INVENTORY), reuse, compile: !reuse });
  const { context, ...request } = sampleRequest(READ_FILE);
  const ask = (risk: Partial<CallRisk>) =>
    engine.evaluate({ ...request, context: { ...context, risk: { ...NO_RISK, ...risk } } }).policies;
  expect(ask({})).toEqual(['p.cedar#1']);
  expect(ask({ task: 'elevated', connector: 'critical' })).toEqual(['p.cedar#1']);
  expect(ask({ task: 'high' })).toEqual(['unsure']);
  expect(ask({ agent: 'critical' })).toEqual(['bad-agent']);
  expect(ask({})).toEqual(['p.cedar#1']);
  engine.release();
});

it('D1 a risk that is none is an error of the policy, and of a listing there is none', () => {
  const load = (body: string) => () => loadPolicies([{ path: 'p.cedar', text: body }], INVENTORY);
  expect(
    load('permit (principal, action in Remit::Action::"call", resource) when { context.risk.tenant == "low" };'),
  ).toThrow();
  expect(
    load('permit (principal, action == Remit::Action::"discover", resource) when { context.risk.task == "low" };'),
  ).toThrow();
});
