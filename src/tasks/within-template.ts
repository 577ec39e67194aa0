import type { Task, TaskTemplate } from '../domain/task.ts';
import { coversResource } from './covers-resource.ts';

const narrowed = new WeakMap<Task, { template: TaskTemplate | undefined; task: Task }>();

/**
 * The task with the resources and action classes that its template holds *now*: what was taken out of the template since the task
 * began is not leased any more (guarantee D3). The very same object when nothing was taken out, so that the hot path allocates nothing.
 */
export function withinTemplate(task: Task, template: TaskTemplate | undefined): Task {
  const known = narrowed.get(task);
  if (known !== undefined && known.template === template) return known.task;
  const allowed = template?.bounds.resources ?? [];
  const resources = task.bounds.resources.filter((resource) =>
    allowed.some((pattern) => coversResource(pattern, resource)),
  );
  const actionClasses = task.bounds.actionClasses.filter((one) => template?.bounds.actionClasses.includes(one));
  const isWhole =
    resources.length === task.bounds.resources.length && actionClasses.length === task.bounds.actionClasses.length;
  const result = isWhole ? task : { ...task, bounds: { ...task.bounds, resources, actionClasses } };
  narrowed.set(task, { template, task: result });
  return result;
}
