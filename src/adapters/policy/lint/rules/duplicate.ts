import { findingOf, type LintRule } from '../lint-model.ts';
import { meaningOf } from '../meaning-of.ts';

/** The same twice. */
export const duplicate: LintRule = ({ applied }) =>
  applied.flatMap(({ policy }, index) => {
    const twin = applied.slice(0, index).find((other) => meaningOf(other) === meaningOf({ policy }));
    if (twin === undefined) return [];
    const what = `it says the same as ${twin.policy.id} (${twin.policy.file}:${twin.policy.line})`;
    return [findingOf(policy, 'duplicate', 'low', what, 'Keep one of the two.')];
  });
