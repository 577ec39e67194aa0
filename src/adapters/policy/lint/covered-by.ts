import { type Applied, isCovered, type LintModel } from './lint-model.ts';

export const idsOf = (covers: readonly Applied[]): string => covers.map(({ policy }) => policy.id).join(', ');

/** The policies of which each is needed to cover another; the fewer the better to read. */
export function coverOf(
  model: LintModel,
  covered: Applied,
  candidates: readonly Applied[],
): readonly Applied[] | undefined {
  const alone = candidates.find((one) => isCovered(model, covered, [one]));
  if (alone !== undefined) return [alone];
  return isCovered(model, covered, candidates) ? candidates.filter((one) => overlaps(one, covered)) : undefined;
}

const overlaps = (one: Applied, other: Applied): boolean =>
  one.at.some((value, point) => value === 1 && other.at[point] === 1);

/** What forbids and cannot be lifted. */
export const forbidsOf = ({ applied }: LintModel): Applied[] =>
  applied.filter(({ policy }) => policy.effect === 'forbid' && policy.stepUp === undefined);
