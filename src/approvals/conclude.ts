import type { Approval, Verdict } from '../domain/approval.ts';
import type { Conclusion } from '../seams/store.ts';

/** What follows from all verdicts: one denial denies, and all terms must have their number of people. Undefined: more are needed. */
export function conclude({ stepUp }: Approval, all: readonly Verdict[]): Conclusion | undefined {
  if (all.some(({ verdict }) => verdict === 'deny')) return { state: 'denied', scope: 'call', usesLeft: 0 };
  const isMet = stepUp.terms.length > 0 && stepUp.terms.every(({ by, count }) => agreed(all, by) >= count);
  if (!isMet) return undefined;
  // The narrowest of what they agreed to.
  const isForTask = all.every(({ uses }) => uses > 0);
  return isForTask
    ? { state: 'approved', scope: 'task', usesLeft: Math.min(...all.map(({ uses }) => uses)) }
    : { state: 'approved', scope: 'call', usesLeft: 1 };
}

/** How many people have agreed to the terms of one policy. */
export function agreed(all: readonly Verdict[], by: string): number {
  return new Set(
    all.filter(({ verdict, terms }) => verdict === 'approve' && terms.includes(by)).map((one) => one.approver),
  ).size;
}
