import type { TaskId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';

type Linked = Pick<Task, 'id' | 'parent'>;

/** Which live tasks began under which: what befalls a task befalls all below it (guarantee V2). */
export interface TaskTree {
  add(task: Linked): void;
  remove(task: Linked): void;
  childrenOf(id: TaskId): readonly TaskId[];
  /** Nearest first, without the task itself. */
  ancestorsOf(task: Linked): readonly TaskId[];
  /** The task and all below it, parents before their children. */
  withDescendants(id: TaskId): readonly TaskId[];
}

export function createTaskTree(): TaskTree {
  const children = new Map<TaskId, Set<TaskId>>();
  /** Only of those that have one. */
  const parents = new Map<TaskId, TaskId>();

  return {
    add({ id, parent }) {
      if (parent === undefined) return;
      parents.set(id, parent);
      const siblings = children.get(parent);
      if (siblings === undefined) children.set(parent, new Set([id]));
      else siblings.add(id);
    },
    remove({ id, parent }) {
      if (parent === undefined) return;
      parents.delete(id);
      const siblings = children.get(parent);
      if (siblings?.delete(id) === true && siblings.size === 0) children.delete(parent);
    },
    childrenOf: (id) => [...(children.get(id) ?? [])],
    ancestorsOf({ id, parent }) {
      const found: TaskId[] = [];
      // A chain that came out of a damaged store may lead back to itself.
      for (let next = parent; next !== undefined && next !== id && !found.includes(next); next = parents.get(next)) {
        found.push(next);
      }
      return found;
    },
    withDescendants(id) {
      const found = new Set([id]);
      for (const one of found) for (const child of children.get(one) ?? []) found.add(child);
      return [...found];
    },
  };
}
