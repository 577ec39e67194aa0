import { coverOf, forbidsOf, idsOf } from '../covered-by.ts';
import { findingOf, type LintRule } from '../lint-model.ts';

/** A hold that is forbidden as well is lifted by nobody. */
export const holdForbidden: LintRule = (model) => {
  const forbids = forbidsOf(model);
  return model.applied.flatMap((one) => {
    if (one.policy.stepUp === undefined) return [];
    const covers = coverOf(model, one, forbids);
    if (covers === undefined) return [];
    const what = `nobody can lift this hold: all that it holds is forbidden by ${idsOf(covers)}`;
    return [findingOf(one.policy, 'hold-forbidden', 'medium', what, 'Remove one of the two, or narrow the forbid.')];
  });
};
