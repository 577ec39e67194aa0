import { type Applied, coversAt, type LintModel, type Point } from './lint-model.ts';

/** Classes of which each permit should say that it means them. */
export const CRITICAL: ReadonlySet<string> = new Set(['financial', 'export', 'privilege', 'secret']);

export const permitsOf = ({ applied }: LintModel): Applied[] =>
  applied.filter(({ policy }) => policy.effect === 'permit');

/** Calls that it permits and that nothing certainly forbids or holds. */
export function eachCall(model: LintModel, one: Applied, work: (point: Point, number: number) => void): void {
  const forbids = model.applied.filter(({ policy }) => policy.effect === 'forbid');
  model.points.forEach((point, number) => {
    if (one.at[number] !== 1 || point.action !== 'call') return;
    if (!forbids.some((forbid) => coversAt(model, forbid, one, number))) work(point, number);
  });
}
