import { afterEach, expect, it } from 'vitest';
import { describeFailure } from '../../src/compose/policies/case-report.ts';
import { tryPolicies } from '../../src/compose/policies/try-policies.ts';
import { makePolicyFolder, type PolicyFolder, testEstate } from '../compose/policy-folder.ts';

let place: PolicyFolder | undefined;
afterEach(() => place?.remove());

/** What a role can say: this agent may use that server. */
const ROLE =
  '@id("clerks-use-the-shop")\npermit (principal == Remit::Agent::"clerk", action, resource in Remit::Connector::"shop");\n';

const FINE = `${ROLE}
@id("small-only")
forbid (principal, action == Remit::Action::"shop/pay", resource) when { context.args.amount > 1000 };
@id("known-payees")
@step_up("approvers=finance limit=20 expires=1h")
forbid (principal, action == Remit::Action::"shop/pay", resource) unless { context.args.to == "acme" };
@id("no-rights")
forbid (principal, action in Remit::Action::"privilege", resource);
`;

const CASES = `
defaults: { agent: clerk }
cases:
  - { name: a role reads, tool: shop/find, arguments: { text: x }, expect: permit }
  - { name: and gives no rights away, tool: shop/grant, arguments: { who: mallory }, expect: deny, policies: [no-rights] }
  - { name: nobody is asked about what is usual, tool: shop/pay, arguments: { to: acme, amount: 10 }, expect: permit }
  - { name: too much is denied, tool: shop/pay, arguments: { to: acme, amount: 1001 }, expect: deny, policies: [small-only] }
  - { name: somebody new waits for a person, tool: shop/pay, arguments: { to: mallory, amount: 10 }, expect: step_up, approvers: [finance] }
`;

const failures = async (policies: string): Promise<string[]> => {
  place = await makePolicyFolder({ 'all.cedar': policies, 'all.cases.yaml': CASES });
  const { results } = await tryPolicies(place.folder, testEstate());
  return results.flatMap((one) => (one.mismatches.length > 0 ? [describeFailure(one)] : []));
};

it('F21 R27 one agent, one server, one tool: arguments decide, and only what is unusual waits for a person', async () => {
  expect(await failures(FINE)).toEqual([]);
});

it('F21 a role alone would let all of it through', async () => {
  expect(await failures(ROLE)).toHaveLength(3);
});
