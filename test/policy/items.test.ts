import { expect, it } from 'vitest';
import { createCedarEngine } from '../../src/adapters/policy/cedar-engine.ts';
import { buildSchema } from '../../src/adapters/policy/cedar-schema.ts';
import { loadPolicies } from '../../src/adapters/policy/load-policies.ts';
import type { PolicyInventory } from '../../src/adapters/policy/policy-inventory.ts';
import { NO_LABELS } from '../../src/domain/flow.ts';
import { agentId, connectorId } from '../../src/domain/ids.ts';
import { NO_RISK } from '../../src/domain/risk.ts';
import { coversTool } from '../../src/domain/task.ts';
import { itemName, itemRef } from '../../src/domain/tool.ts';
import { samplePrincipal, sampleProfile, sampleTask } from './samples.ts';

const DOCS = connectorId('docs');
const PATTERN = 'docs://manuals/"*\\x';
const resource = sampleProfile('read', { uri: 'string' });
const prompt = sampleProfile('read', { topic: 'string' });
const inventory: PolicyInventory = {
  agents: [{ id: agentId('orders-bot'), owner: 'o', environment: 'prod', zone: 'z' }],
  connectors: [
    {
      id: DOCS,
      owner: 'o',
      environment: 'prod',
      zone: 'z',
      tools: [
        { name: itemName('resource', PATTERN), profile: resource },
        { name: itemName('prompt', 'summarise'), profile: prompt },
      ],
    },
  ],
};

function evaluate(text: string, ref: ReturnType<typeof itemRef>, args: Record<string, string>) {
  const engine = createCedarEngine(loadPolicies([{ path: 'p.cedar', text }], inventory));
  return engine.evaluate({
    subject: { kind: 'agent', id: 'orders-bot', groups: [] },
    action: 'call',
    resource: { connector: DOCS, tool: ref, profile: ref.includes('prompt:') ? prompt : resource },
    context: {
      principal: samplePrincipal(),
      task: sampleTask(),
      environment: 'prod',
      arguments: args,
      labelsOf: () => NO_LABELS,
      provenance: {},
      risk: NO_RISK,
    },
  }).verdict;
}

it('fault 37: a policy can read the uri of a resource and the arguments of a prompt, whatever stands in their names', () => {
  const ref = itemRef(DOCS, 'resource', PATTERN);
  expect(buildSchema(inventory)).toContain('"docs/resource:docs://manuals/\\u{22}*\\u{5c}x"');
  const text = `permit(principal, action == Remit::Action::"docs/resource:docs://manuals/\\u{22}*\\u{5c}x", resource)
    when { context.args.uri like "docs://manuals/a*" };
    permit(principal, action == Remit::Action::"docs/prompt:summarise", resource) when { context.args.topic == "tea" };`;
  expect(evaluate(text, ref, { uri: 'docs://manuals/a1' })).toBe('permit');
  expect(evaluate(text, ref, { uri: 'docs://manuals/b1' })).toBe('deny');
  const summarise = itemRef(DOCS, 'prompt', 'summarise');
  expect(evaluate(text, summarise, { topic: 'tea' })).toBe('permit');
  expect(evaluate(text, summarise, { topic: 'salaries' })).toBe('deny');
});

it('a task covers a resource or a prompt by its ref, or by connector/*; never by another connector’s', () => {
  const ref = itemRef(DOCS, 'resource', 'docs://manuals/*');
  expect(coversTool(['docs/*'], ref)).toBe(true);
  expect(coversTool(['docs/resource:docs://manuals/*'], ref)).toBe(true);
  expect(
    coversTool(['docs/resource:docs://*', 'doc/*', 'docs2/*', 'docs/resource:*', 'docs/resource:docs:/*', '/*'], ref),
  ).toBe(false);
});
