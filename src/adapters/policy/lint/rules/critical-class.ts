import { readUid } from '../../cedar-names.ts';
import type { LoadedPolicy } from '../../load-policies.ts';
import { actionsOf, findingOf, type LintRule, namesOf } from '../lint-model.ts';
import { CRITICAL, eachCall, permitsOf } from '../permits.ts';

/** Money, exports, rights and secrets by a permit that names neither the class nor the item, where nothing forbids or holds them. */
export const criticalClass: LintRule = (model) =>
  permitsOf(model).flatMap((one) => {
    if (namesItem(one.policy)) return [];
    const open = new Set<string>();
    const classes = new Set<string>();
    eachCall(model, one, ({ tool: { ref, profile } }) => {
      if (!CRITICAL.has(profile.actionClass) || namesClass(one.policy, profile.actionClass)) return;
      open.add(ref);
      classes.add(profile.actionClass);
    });
    if (open.size === 0) return [];
    const hasConditions = one.policy.json.conditions.length > 0;
    return [
      findingOf(
        one.policy,
        'critical-class',
        hasConditions ? 'medium' : 'high',
        `it permits ${[...classes].sort().join(', ')} without naming it, on ${namesOf(open)}`,
        'Name the classes or items that are meant, or hold the class by a forbid with @step_up.',
      ),
    ];
  });

function namesItem(policy: LoadedPolicy): boolean {
  const { resource } = policy.json;
  const isTool = 'entity' in resource && readUid(resource.entity).type === 'Remit::Tool';
  return isTool || actionsOf(policy).some((id) => id.includes('/'));
}

const namesClass = (policy: LoadedPolicy, actionClass: string): boolean => actionsOf(policy).includes(actionClass);
