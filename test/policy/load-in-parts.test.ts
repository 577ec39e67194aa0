import fc from 'fast-check';
import { expect, test } from 'vitest';
import { loadPolicies } from '../../src/adapters/policy/load-policies.ts';
import { indexInventory } from '../../src/adapters/policy/policy-inventory.ts';
import { isRemitError } from '../../src/domain/errors.ts';
import { INVENTORY } from './samples.ts';

const actionOf = (name: string): string => `Remit::Action::${JSON.stringify(name)}`;
const tools = [...indexInventory(INVENTORY).tools.keys()].map(actionOf);
const actions = [...tools, ...['discover', 'call', 'read', 'nowhere/nothing'].map(actionOf)];
/** What Cedar takes, what it refuses, and what it refuses for some actions only. */
const CONDITIONS = [
  '',
  'when { context.environment == "prod" }',
  'when { context.environment }',
  'when { context.args has sql }',
  'when { context.args.sql like "*x*" }',
  'when { context.labels.trust == "untrusted" }',
  'when { context.nothing == 1 }',
  'when { resource.connector.owner == "a" && principal == Remit::Agent::"nobody" }',
  `when { action == ${actions[0]} }`,
  `when { action == ${actions[1]} }`,
  'when { context.risk.task == "high" }',
  'when { context.provenance has sql }',
];
const scope = fc.oneof(
  fc.constant('action'),
  fc.constantFrom(...actions).map((name) => `action == ${name}`),
  fc.constantFrom(...actions).map((name) => `action in ${name}`),
  fc.constantFrom(...actions).map((name) => `action in [${name}]`),
);
const tuple = (scopes: fc.Arbitrary<string>, conditions: readonly string[]) =>
  fc
    .tuple(
      fc.constantFrom('permit', 'forbid'),
      fc.constantFrom('principal', 'principal is Remit::Agent', 'principal is Remit::User'),
      scopes,
      fc.constantFrom(...conditions),
    )
    .map(([effect, principal, action, when]) => `${effect} (${principal}, ${action}, resource) ${when};`);
/** What Cedar takes whatever the tool is: without it nearly every set would be refused. */
const sound = tuple(
  fc.constantFrom(...tools).map((name) => `action == ${name}`),
  [
    '',
    'when { context.environment == "prod" }',
    'when { context.labels.trust == "untrusted" }',
    'when { context.risk.task == "high" }',
  ],
);
const policy = fc.oneof({ arbitrary: sound, weight: 3 }, { arbitrary: tuple(scope, CONDITIONS), weight: 1 });

function outcome(text: string, fewTools?: number): unknown {
  try {
    const { policies, schema } = loadPolicies([{ path: 'base.cedar', text }], INVENTORY, fewTools);
    return { schema, policies };
  } catch (error) {
    if (!isRemitError(error, 'ERR_POLICY_INVALID')) throw error;
    // Every problem is told; which is told first may differ, and so may what Cedar guesses was meant.
    return error.message
      .split('\n')
      .map((line) => line.replace(/ \(did you mean .*\)/, ''))
      .sort();
  }
}

test('D1 what is refused, and why, is the same whether policies are validated at once or part by part', () => {
  const seen = { accepted: 0, refused: 0 };
  fc.assert(
    fc.property(fc.array(policy, { minLength: 1, maxLength: 4 }), (texts) => {
      const text = texts.join('\n');
      const whole = outcome(text);
      expect(outcome(text, 0)).toEqual(whole);
      seen[Array.isArray(whole) ? 'refused' : 'accepted'] += 1;
    }),
    { numRuns: 120 },
  );
  expect(seen.accepted).toBeGreaterThan(10);
  expect(seen.refused).toBeGreaterThan(10);
});
