import type { Task, TaskDeclaration, TaskTemplate } from '../domain/task.ts';
import { type DeclarationContext, narrowTask } from './declare-task.ts';
import { isTaskRefusal, refuseTask, type TaskRefusal } from './task-refusal.ts';

/** Where a new task would stand. */
export interface ChildPlace {
  readonly parent: Task;
  /** Tasks above the new one, the parent included. */
  readonly depth: number;
  /** Children that the parent has, those that are being started included. */
  readonly siblings: number;
  /** Calls that the parent, and every task above it, has left. */
  readonly callsLeft: number;
}

/** What an agent asks for of a child: the template is the parent's. */
export type ChildDeclaration = Omit<TaskDeclaration, 'template'>;

/**
 * Makes a task below another one: within the parent's own bounds, its time and what is left of its budget, and no deeper nor wider than the
 * template lets tasks branch (R70, R73). Agent and user are the parent's. Narrower only, as any declaration: wider is refused, never clipped.
 */
export function narrowChild(
  template: TaskTemplate,
  declaration: ChildDeclaration,
  { parent, depth, siblings, callsLeft }: ChildPlace,
  context: Pick<DeclarationContext, 'now' | 'id' | 'trace'>,
): Task | TaskRefusal {
  const { depth: most = 0, perTask = 0 } = template.children ?? {};
  const field = 'parent';
  if (depth > most) {
    const how = most === 0 ? 'lets tasks have no children' : `lets children be ${most} deep`;
    return refuseTask('widening', `parent '${parent.id}': template '${template.id}' ${how}`, {
      field,
      value: parent.id,
    });
  }
  if (siblings >= perTask) {
    return refuseTask(
      'too_many_tasks',
      `parent '${parent.id}' has ${siblings} children, as many as template '${template.id}' lets it have: end some first`,
      { field, value: parent.id },
    );
  }
  const seconds = Math.floor((parent.expiresAt - context.now) / 1000);
  if (!(seconds >= 1))
    return refuseTask('ended', `parent '${parent.id}' has no time left`, { field, value: parent.id });
  if (!(callsLeft >= 1)) {
    return refuseTask('budget_exhausted', `parent '${parent.id}' has no calls left`, { field, value: parent.id });
  }
  const bounds = { ...parent.bounds, calls: Math.min(parent.bounds.calls, callsLeft) };
  const within = { ...template, purpose: parent.purpose, bounds, maxDurationSeconds: seconds };
  const { tenant, agent, user } = parent;
  const child = narrowTask(within, { template: template.id, ...declaration }, { ...context, tenant, agent, user });
  if (!isTaskRefusal(child)) return { ...child, parent: parent.id };
  return { ...child, reason: child.reason.replace(`template '${template.id}'`, `its parent '${parent.id}'`) };
}
