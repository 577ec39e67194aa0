import type { TaskId } from '../domain/ids.ts';
import { createTaskLimits, type TaskLimits } from '../gateway/task-limits.ts';
import type { Clock } from '../seams/clock.ts';
import type { TaskRegistry } from '../tasks/task-registry.ts';
import type { Estate } from './estate.ts';

/** How fast tasks may go; undefined where no template bounds it, so that calls pay nothing for it. */
export function buildTaskLimits(
  { templates }: Estate,
  clock: Clock,
  tasks: Pick<TaskRegistry, 'get' | 'onEnd'>,
  /** More that is bounded came back for a task, after what it left behind was kept. */
  onRead: (task: TaskId) => void,
): TaskLimits | undefined {
  if (![...templates.values()].some(({ limits }) => limits !== undefined)) return undefined;
  const limits = createTaskLimits(clock, tasks.get, onRead);
  tasks.onEnd(({ id }) => limits.forgetTask(id));
  return limits;
}
