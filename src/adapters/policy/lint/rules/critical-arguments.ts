import { findingOf, type LintModel, type LintRule, namesOf } from '../lint-model.ts';
import { CRITICAL, eachCall, permitsOf } from '../permits.ts';

/** Calls whose arguments say to whom or which one, permitted whatever these are. */
export const criticalArguments: LintRule = (model) =>
  permitsOf(model).flatMap((one) => {
    if (one.policy.json.conditions.length > 0) return [];
    const open = new Set<string>();
    eachCall(model, one, ({ tool: { ref, profile } }, point) => {
      const isCritical =
        (profile.flow?.critical.length ?? 0) > 0 ||
        (CRITICAL.has(profile.actionClass) && profile.criticalArguments.length > 0);
      if (isCritical && !isRead(model, point)) open.add(ref);
    });
    if (open.size === 0) return [];
    return [
      findingOf(
        one.policy,
        'critical-arguments',
        'medium',
        `it permits ${namesOf(open)} whatever the arguments are, and no other policy looks at them`,
        'Look at them: `when { context.args… }`, a forbid on `context.provenance`, or a forbid with @step_up.',
      ),
    ];
  });

/** Whether a policy that can apply here looks at the arguments or where they come from. */
function isRead({ applied }: LintModel, point: number): boolean {
  return applied.some(({ policy: { references }, at }) => {
    const { whole, fields } = references.context;
    return at[point] === 1 && (whole || fields.has('args') || fields.has('provenance'));
  });
}
