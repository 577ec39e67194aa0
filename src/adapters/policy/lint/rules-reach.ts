import { coversTool } from '../../../domain/task.ts';
import { ACTION_CLASSES } from '../../../domain/tool.ts';
import { comparedTemplates, onlyTemplates } from './compared-templates.ts';
import { actionsOf, findingOf, type LintRule, type Point } from './lint-model.ts';

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

/** A name that no task's template has. */
export const unknownTemplate: LintRule = ({ applied, input: { templates } }) =>
  applied.flatMap(({ policy }) =>
    comparedTemplates(policy.json)
      .filter((name) => !templates.some(({ id }) => id === name))
      .map((name) =>
        findingOf(
          policy,
          'unknown-template',
          'high',
          `it asks for the template ${JSON.stringify(name)}, which does not exist`,
          `Mind the spelling; there are: ${templates.map(({ id }) => id).join(', ') || 'none'}.`,
        ),
      ),
  );

/** What it matches is in no task that can be declared: the task denies first, whatever this says. */
export const noTaskReaches: LintRule = ({ applied, points, input: { templates } }) =>
  applied.flatMap(({ policy, at }) => {
    if (!at.includes(1)) return [];
    const only = onlyTemplates(policy.json);
    const open = templates.filter(({ id }) => only === undefined || only.includes(id));
    const isReached = ({ asker, tool }: Point): boolean =>
      open.some(
        ({ agents, bounds }) =>
          (asker.kind === 'user' || agents.some((agent) => agent === asker.id)) &&
          coversTool(bounds.tools, tool.ref) &&
          bounds.actionClasses.includes(tool.profile.actionClass),
      );
    if (points.some((point, number) => at[number] === 1 && isReached(point))) return [];
    return [
      findingOf(
        policy,
        'no-task-reaches',
        policy.effect === 'permit' ? 'medium' : 'low',
        'no template lets a task of those it matches reach what it matches',
        'Remove it, or have the owner of a template include the item, its class and the agent.',
      ),
    ];
  });
