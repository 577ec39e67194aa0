import { coversTool } from '../../../../domain/task.ts';
import { onlyTemplates } from '../compared-templates.ts';
import { findingOf, type LintRule, type Point } from '../lint-model.ts';

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
