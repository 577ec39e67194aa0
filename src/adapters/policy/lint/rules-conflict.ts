import { type Applied, findingOf, isCovered, type LintModel, type LintRule } from './lint-model.ts';

const idsOf = (covers: readonly Applied[]): string => covers.map(({ policy }) => policy.id).join(', ');

/** The policies of which each is needed to cover another; the fewer the better to read. */
function coverOf(model: LintModel, covered: Applied, candidates: readonly Applied[]): readonly Applied[] | undefined {
  const alone = candidates.find((one) => isCovered(model, covered, [one]));
  if (alone !== undefined) return [alone];
  return isCovered(model, covered, candidates) ? candidates.filter((one) => overlaps(one, covered)) : undefined;
}

const overlaps = (one: Applied, other: Applied): boolean =>
  one.at.some((value, point) => value === 1 && other.at[point] === 1);

const forbidsOf = ({ applied }: LintModel): Applied[] =>
  applied.filter(({ policy }) => policy.effect === 'forbid' && policy.stepUp === undefined);

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

/** The same twice. */
export const duplicate: LintRule = ({ applied }) =>
  applied.flatMap(({ policy }, index) => {
    const twin = applied.slice(0, index).find((other) => meaningOf(other) === meaningOf({ policy }));
    if (twin === undefined) return [];
    const what = `it says the same as ${twin.policy.id} (${twin.policy.file}:${twin.policy.line})`;
    return [findingOf(policy, 'duplicate', 'low', what, 'Keep one of the two.')];
  });

function meaningOf({ policy: { json, stepUp } }: Pick<Applied, 'policy'>): string {
  const { effect, principal, action, resource, conditions } = json;
  return JSON.stringify([effect, principal, action, resource, conditions, stepUp && { ...stepUp, by: '' }]);
}

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
