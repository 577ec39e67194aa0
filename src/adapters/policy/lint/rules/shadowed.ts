import { findingOf, isCovered, type LintRule } from '../lint-model.ts';
import { meaningOf } from '../meaning-of.ts';

/** Another one of the same effect applies wherever it does: it changes nothing. */
export const shadowed: LintRule = (model) => {
  const { applied } = model;
  return applied.flatMap((one, index) => {
    // A hold is never shadowed: who lifts it and how is its own.
    if (one.policy.stepUp !== undefined) return [];
    const wider = applied.find((other, at) => {
      if (at === index || other.policy.effect !== one.policy.effect || other.policy.stepUp !== undefined) return false;
      if (meaningOf(other) === meaningOf(one) || !isCovered(model, one, [other])) return false;
      // Where each covers the other, the earlier one stays.
      return at < index || !isCovered(model, other, [one]);
    });
    if (wider === undefined) return [];
    const what = `it adds nothing: ${wider.policy.id} (${wider.policy.file}:${wider.policy.line}) applies wherever it does`;
    const next = 'Remove it, or narrow the other where that was meant to be an exception.';
    return [findingOf(one.policy, 'shadowed', 'low', what, next)];
  });
};
