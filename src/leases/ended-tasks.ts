import type { TaskId } from '../domain/ids.ts';
import type { Clock } from '../seams/clock.ts';

/** Longest life that a task can have: an ended one is remembered as long, so that no late call revives it. */
const LONGEST_TASK_MS = 86_400_000;

/** Tasks that have ended, until their expiry refuses them anyway. */
export interface EndedTasks {
  add(task: TaskId): void;
  has(task: TaskId): boolean;
}

export function createEndedTasks(clock: Clock): EndedTasks {
  /** In order of ending, with the time from which nobody need know. */
  const ended = new Map<TaskId, number>();
  return {
    add(task) {
      const now = clock();
      for (const [id, until] of ended) {
        if (until > now) break;
        ended.delete(id);
      }
      ended.set(task, now + LONGEST_TASK_MS);
    },
    has: (task) => ended.has(task),
  };
}
