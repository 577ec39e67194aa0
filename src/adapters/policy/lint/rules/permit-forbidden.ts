import { coverOf, forbidsOf, idsOf } from '../covered-by.ts';
import { findingOf, type LintRule } from '../lint-model.ts';

/** A forbid always wins: such a permit gives nothing. */
export const permitForbidden: LintRule = (model) => {
  const forbids = forbidsOf(model);
  return model.applied.flatMap((one) => {
    if (one.policy.effect !== 'permit') return [];
    const covers = coverOf(model, one, forbids);
    if (covers === undefined) return [];
    const what = `all that it permits is forbidden by ${idsOf(covers)}`;
    return [findingOf(one.policy, 'permit-forbidden', 'medium', what, 'Remove one of the two, or narrow the forbid.')];
  });
};
