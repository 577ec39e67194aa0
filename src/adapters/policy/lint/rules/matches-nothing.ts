import { ACTION_CLASSES } from '../../../../domain/tool.ts';
import { actionsOf, findingOf, type LintRule } from '../lint-model.ts';

/** Its scope and conditions match nothing that is registered. */
export const matchesNothing: LintRule = ({ applied, points }) => {
  const described = new Set<string>(points.map(({ tool }) => tool.profile.actionClass));
  return applied.flatMap(({ policy, at }) => {
    if (at.includes(1)) return [];
    const actions = actionsOf(policy);
    if (actions.length > 0 && actions.every((id) => isClass(id) && !described.has(id))) {
      const what = `no item of class ${actions.join(', ')} is described yet`;
      return [findingOf(policy, 'matches-nothing', 'low', what, 'Nothing to do, where it is meant for later.')];
    }
    return [
      findingOf(
        policy,
        'matches-nothing',
        policy.effect === 'forbid' ? 'high' : 'medium',
        `this ${policy.effect} matches no registered agent and no user on any described item`,
        'Mend its scope and conditions, or remove it.',
      ),
    ];
  });
};

const isClass = (id: string): boolean => ACTION_CLASSES.some((one) => one === id);
