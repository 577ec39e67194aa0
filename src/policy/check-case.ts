import type { Decision, Gate } from '../domain/decision.ts';

/** What a test case of the policies wants of a decision. What is left out may be anything. */
export interface ExpectedDecision {
  readonly verdict: Decision['verdict'];
  readonly gate?: Gate | undefined;
  /** All determining policies, in any order. */
  readonly policies?: readonly string[] | undefined;
  /** Of a `step_up`, all groups that are asked, in any order; none: everyone who may approve. */
  readonly approvers?: readonly string[] | undefined;
}

/** One thing in which a decision is not as expected. */
export interface Mismatch {
  readonly what: 'verdict' | 'gate' | 'policies' | 'approvers';
  readonly expected: string;
  readonly actual: string;
}

/** In what a decision differs from what was expected of it; empty where the case holds. */
export function checkCase(expected: ExpectedDecision, actual: Decision): readonly Mismatch[] {
  const asked = [...new Set((actual.stepUp?.terms ?? []).flatMap(({ groups }) => groups))];
  const pairs: readonly Mismatch[] = [
    { what: 'verdict', expected: expected.verdict, actual: actual.verdict },
    { what: 'gate', expected: expected.gate ?? actual.gate, actual: actual.gate },
    listed('policies', expected.policies, actual.policies),
    listed('approvers', expected.approvers, asked),
  ];
  return pairs.filter((pair) => pair.expected !== pair.actual);
}

function listed(what: Mismatch['what'], expected: readonly string[] | undefined, actual: readonly string[]): Mismatch {
  const text = (list: readonly string[]): string => (list.length === 0 ? 'none' : [...new Set(list)].sort().join(', '));
  return { what, expected: text(expected ?? actual), actual: text(actual) };
}
