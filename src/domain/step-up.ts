/** Why a call waits for people, and for which. Whoever decides may hold a call this way: policy, data flow. */
export interface StepUp {
  /** All of them must be met; at least one. */
  readonly terms: readonly StepUpTerms[];
  /** Labels of the task that led to it, as an approver reads them. */
  readonly labels: readonly string[];
  /** Where values of the call came from, as far as that matters. */
  readonly provenance: readonly Provenance[];
}

/** What it takes to lift one hold. */
export interface StepUpTerms {
  /** Id of the policy, or of the rule (`remit:…`), that holds the call. */
  readonly by: string;
  /** Groups of approvers by their names in the configuration; none: everyone who may approve at all. */
  readonly groups: readonly string[];
  /** How many different people must agree. */
  readonly count: number;
  /** From the request on: for the verdict and its use together. */
  readonly expiresSeconds: number;
  /** Most uses of one verdict that covers the item for the rest of the task; 1: a verdict is for the one call. */
  readonly limit: number;
  /** Who may not approve, whatever group they are in: the task's user, the agent's owner. */
  readonly barred: readonly BarredApprover[];
}

export const BARRED_APPROVERS = ['user', 'owner'] as const;
export type BarredApprover = (typeof BARRED_APPROVERS)[number];

/** One value of a call, and what is known of where it came from. */
export interface Provenance {
  /** Name of the argument. */
  readonly argument: string;
  /** One sentence: `the result of mail/read at 12:04, untrusted`. Never the value itself. */
  readonly from: string;
  readonly isTrusted: boolean;
}

export const DEFAULT_TERMS: Omit<StepUpTerms, 'by'> = {
  groups: [],
  count: 1,
  expiresSeconds: 900,
  limit: 1,
  barred: [],
};

const NONE: readonly never[] = [];

export function stepUpOf(
  terms: readonly StepUpTerms[],
  labels: readonly string[] = NONE,
  provenance: readonly Provenance[] = NONE,
): StepUp {
  return { terms, labels, provenance };
}

/** Two holds of one call: both must be lifted. */
export function joinStepUps(one: StepUp, other: StepUp): StepUp {
  return {
    terms: [...one.terms, ...other.terms.filter(({ by }) => !one.terms.some((known) => known.by === by))],
    labels: [...new Set([...one.labels, ...other.labels])],
    provenance: [...one.provenance, ...other.provenance],
  };
}

/** One hold more, over a decision that may be held already: both must be lifted, and both are told of. */
export function alsoHeld(
  before: {
    readonly verdict: string;
    readonly policies: readonly string[];
    readonly reason: string;
    readonly stepUp?: StepUp;
  },
  hold: { readonly rule: string; readonly reason: string; readonly stepUp: StepUp },
): {
  readonly verdict: 'step_up';
  readonly policies: readonly string[];
  readonly reason: string;
  readonly stepUp: StepUp;
} {
  const { rule, reason, stepUp } = hold;
  if (before.verdict !== 'step_up') return { verdict: 'step_up', policies: [rule], reason, stepUp };
  return {
    verdict: 'step_up',
    policies: [...before.policies, rule],
    reason: `${before.reason} ${reason}`,
    stepUp: before.stepUp === undefined ? stepUp : joinStepUps(before.stepUp, stepUp),
  };
}
