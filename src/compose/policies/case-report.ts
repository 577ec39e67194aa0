import { RemitError } from '../../domain/errors.ts';
import type { CaseResult } from './run-policy-cases.ts';

/** What people are told of a case that does not hold: where, what was expected, what came, and why. */
export function describeFailure({ of, decision, mismatches }: CaseResult): string {
  const lines = mismatches.map(({ what, expected, actual }) => `    ${what}: expected ${expected}, not ${actual}`);
  const by = decision.policies.length === 0 ? 'no policy' : decision.policies.join(', ');
  return [`${of.at}: ${of.name}`, ...lines, `    decided at ${decision.gate} by ${by}: ${decision.reason}`].join('\n');
}

/** @throws `ERR_POLICY_INVALID` that lists every case that does not hold */
export function assertCasesHold(results: readonly CaseResult[]): void {
  const failing = results.filter(({ mismatches }) => mismatches.length > 0);
  const [first] = failing;
  if (first === undefined) return;
  const what = failing.length === 1 ? 'a case' : `${failing.length} cases`;
  throw new RemitError(
    'ERR_POLICY_INVALID',
    `${what} of the policies, of ${results.length}, ${failing.length === 1 ? 'does' : 'do'} not hold\n${failing.map(describeFailure).join('\n')}`,
    {
      where: first.of.at,
      hint: 'Mend the policies, or the cases where they ask for something else now; `remit policy test` runs them. Policies with a failing case are never put in force.',
    },
  );
}
