import type { TaskId } from '../../domain/ids.ts';
import type { TaskUsage } from '../../domain/node.ts';
import type { Task, TemplateLimits } from '../../domain/task.ts';
import type { LegacyConnectors } from '../../gateway/legacy-connectors.ts';
import type { TaskLimits } from '../../gateway/task-limits.ts';

/** What has been counted of tasks against their limits, whoever counts it. */
export interface TaskUsages {
  of(task: TaskId): TaskUsage | undefined;
  restore(task: Task, usage: TaskUsage | undefined): void;
  forget(task: TaskId): void;
}

export function createTaskUsages(
  limits: TaskLimits | undefined,
  legacy: LegacyConnectors | undefined,
  limitsOf: (task: Task) => TemplateLimits | undefined,
): TaskUsages {
  return {
    of(task) {
      const family = limits?.usageOf(task);
      const own = legacy?.usageOf(task);
      if (family === undefined || own === undefined) return family ?? own;
      return { ...family, paces: { ...family.paces, ...own.paces } };
    },
    restore(task, usage) {
      if (usage === undefined) return;
      if (task.parent === undefined) limits?.restore(task.id, usage, limitsOf(task));
      legacy?.restore(task.id, usage);
    },
    forget(task) {
      limits?.forgetTask(task);
      legacy?.forgetTask(task);
    },
  };
}
