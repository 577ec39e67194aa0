import { afterEach, describe, expect, it } from 'vitest';
import { describeFailure } from '../../src/compose/policies/case-report.ts';
import { tryPolicies } from '../../src/compose/policies/try-policies.ts';
import { makePolicyFolder, type PolicyFolder, testEstate } from './policy-folder.ts';

let place: PolicyFolder | undefined;
afterEach(() => place?.remove());

const POLICIES = `
@id("agents-work")
permit (principal is Remit::Agent, action, resource);
@id("support-reads")
permit (principal in Remit::Group::"https://idp#support", action in Remit::Action::"read", resource);
@id("money-waits")
@step_up("approvers=finance")
@reason("Money moves.")
forbid (principal, action in Remit::Action::"financial", resource);
@id("no-secrets-noted")
forbid (principal, action == Remit::Action::"shop/note", resource)
when { context.labels.trust == "untrusted" && context.environment == "test" };
@id("never-to-strangers")
forbid (principal, action == Remit::Action::"shop/pay", resource)
when { context.provenance has to && context.provenance.to == "text" };
@id("not-at-risk")
forbid (principal, action == Remit::Action::"shop/note", resource)
when { context.risk.agent == "high" };
`;

async function tried(cases: string, policies = POLICIES) {
  place = await makePolicyFolder({ 'all.cedar': policies, 'all.cases.yaml': cases });
  return tryPolicies(place.folder, testEstate());
}

describe('cases beside the policies', () => {
  it('are asked of the real decider: user, actors, labels, provenance, environment, template, arguments, resources, listing', async () => {
    const { results, undecided } = await tried(`
defaults: { agent: helper }
cases:
  - { name: an agent reads, tool: shop/find, arguments: { text: x }, expect: permit, gate: agent_policy, policies: [agents-work] }
  - { name: its user must be permitted too, tool: shop/find, arguments: { text: x }, expect: deny, gate: user_policy, policies: [],
      user: { issuer: "https://idp", subject: mallory } }
  - { name: support may, tool: shop/find, arguments: { text: x }, expect: permit, policies: [support-reads, agents-work],
      user: { issuer: "https://idp", subject: alice, groups: [support] } }
  - { name: another provider’s support may not, tool: shop/find, arguments: { text: x }, expect: deny,
      user: { issuer: "https://other", subject: alice, groups: [support] } }
  - { name: money is held, tool: shop/pay, arguments: { to: a, amount: 1 }, expect: step_up, policies: [money-waits], approvers: [finance] }
  - { name: money to a stranger is not even held, tool: shop/pay, arguments: { to: a, amount: 1 }, provenance: { to: text }, expect: deny,
      policies: [money-waits, never-to-strangers] }
  - { name: after bad input nothing is noted, tool: shop/note, arguments: { text: x }, labels: { trust: untrusted }, expect: deny, policies: [no-secrets-noted] }
  - { name: elsewhere it is, tool: shop/note, arguments: { text: x }, labels: { trust: untrusted }, environment: dev, expect: permit }
  - { name: the template says what its tasks are for, tool: shop/note, template: look, arguments: { text: x }, expect: deny, gate: task, policies: ["remit:task-tool"] }
  - { name: and whom it is open to, agent: clerk, tool: shop/find, template: look, arguments: { text: x }, expect: deny, policies: ["remit:template"] }
  - { name: and that a user is there, tool: shop/find, template: look, arguments: { text: x }, expect: deny, policies: ["remit:template"] }
  - { name: arguments are exact, tool: shop/pay, arguments: { to: a, amount: "1" }, expect: deny, gate: arguments }
  - { name: a resource, tool: "shop/resource:shop://orders/*", arguments: { uri: "shop://orders/7" }, expect: permit }
  - { name: a risky agent’s notes are not, tool: shop/note, arguments: { text: x }, risk: { agent: high }, expect: deny, policies: [not-at-risk] }
  - { name: what is held is listed, tool: shop/pay, action: discover, expect: permit }
  - { name: actors are asked too, tool: shop/find, arguments: { text: x }, actors: [clerk], expect: permit, gate: actor_policy }
`);
    expect(results.flatMap((one) => (one.mismatches.length > 0 ? [describeFailure(one)] : []))).toEqual([]);
    expect(results).toHaveLength(16);
    expect(undecided).toEqual([]);
  });

  it('that do not hold are told with place, what was expected, what came and why', async () => {
    const { results } = await tried(`defaults: { agent: helper }
cases:
  - name: money flows
    tool: shop/pay
    arguments: { to: a, amount: 1 }
    expect: permit
    gate: task
    policies: [agents-work]
`);
    expect(results.map(describeFailure)[0]?.split('all.cases.yaml')[1]).toBe(`:3: money flows
    verdict: expected permit, not step_up
    gate: expected task, not agent_policy
    policies: expected agents-work, not money-waits
    decided at agent_policy by money-waits: Money moves.`);
  });

  it.each([
    [
      'an unknown key',
      '  - { name: x, agent: helper, tool: shop/find, expects: permit, expect: deny }',
      ':2:48: cases.0.expects: unknown key',
    ],
    [
      'an unknown tool',
      '  - name: x\n    agent: helper\n    tool: shop/nothing\n    expect: deny',
      ':4:5: cases.0.tool: shop/nothing has no profile',
    ],
    [
      'an unknown agent',
      '  - name: x\n    agent: nobody\n    tool: shop/find\n    expect: deny',
      ':3:5: cases.0.agent: no agent is called nobody',
    ],
    [
      'an unknown template',
      '  - name: x\n    agent: helper\n    tool: shop/find\n    expect: deny\n    template: t',
      ':6:5: cases.0.template: no template is called t',
    ],
    ['no agent', '  - { name: x, tool: shop/find, expect: deny }', 'no agent is named'],
    ['no such verdict', '  - { name: x, agent: helper, tool: shop/find, expect: allow }', 'cases.0.expect'],
    [
      'one name twice',
      '  - { name: x, agent: helper, tool: shop/find, expect: deny }\n  - { name: x, agent: helper, tool: shop/find, expect: deny }',
      ':3:7: cases.1.name',
    ],
    ['no case', '  []', 'cases'],
    ['no YAML', '  - {', 'all.cases.yaml:'],
  ])('a bad case file is told by line: %s', async (_, cases, told) => {
    const error = await tried(`cases:\n${cases}\n`).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code: 'ERR_POLICY_INVALID', where: expect.stringContaining('all.cases.yaml:') });
    expect(String(error)).toContain(told);
  });
});
