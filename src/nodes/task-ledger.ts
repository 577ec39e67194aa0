import type { TaskId, TenantId } from '../domain/ids.ts';
import type { OwnedTask, TaskMemory } from '../domain/node.ts';
import type { TaskPlaceRepository } from '../seams/shared-store.ts';

/** What calls leave behind, in the store before they go on; and the proof that their task is still this node's. */
export interface TaskLedger {
  /** A task of this node's, from now on. */
  add(task: TaskId, fence: number): void;
  /**
   * Makes the memory of a task and of those above it durable. One statement for all that ask while the one before is under way.
   * @returns false when one of them is another node's by now: nothing may follow
   * @throws `ERR_STORE_*`
   */
  keep(task: TaskId): Promise<boolean>;
  has(task: TaskId): boolean;
  remove(task: TaskId): void;
  /** Tasks of this node's. */
  tasks(): readonly TaskId[];
}

interface Batch {
  readonly tasks: Set<TaskId>;
  readonly written: Promise<ReadonlySet<TaskId>>;
}

export function createTaskLedger(parts: {
  readonly tenant: TenantId;
  readonly owner: string;
  readonly repository: Pick<TaskPlaceRepository, 'keep'>;
  /** As it is now. */
  readonly memoryOf: (task: TaskId) => TaskMemory;
  /** The task, and those above it whose budgets it takes of and whose labels it joins. */
  readonly chainOf: (task: TaskId) => readonly TaskId[];
}): TaskLedger {
  const { tenant, owner, repository, memoryOf, chainOf } = parts;
  const fences = new Map<TaskId, number>();
  let writing: Promise<unknown> | undefined;
  let next: Batch | undefined;

  /** Memories are read when it is their turn: later ones say all that earlier ones did. */
  async function write(tasks: Iterable<TaskId>): Promise<ReadonlySet<TaskId>> {
    const rows: OwnedTask[] = [];
    for (const task of tasks) {
      const fence = fences.get(task);
      if (fence !== undefined) rows.push({ task, fence, memory: memoryOf(task) });
    }
    return rows.length === 0 ? new Set() : await repository.keep(tenant, owner, rows);
  }

  function batch(): Batch {
    if (next !== undefined) return next;
    const tasks = new Set<TaskId>();
    const written = (writing ?? Promise.resolve()).then(() => {
      next = undefined;
      const under = write(tasks);
      writing = under.catch(ignore).finally(() => {
        if (next === undefined) writing = undefined;
      });
      return under;
    });
    next = { tasks, written };
    return next;
  }

  return {
    add: (task, fence) => void fences.set(task, fence),
    async keep(task) {
      const chain = chainOf(task);
      const { tasks, written } = batch();
      for (const one of chain) tasks.add(one);
      const kept = await written;
      return chain.every((one) => kept.has(one));
    },
    has: (task) => fences.has(task),
    remove: (task) => void fences.delete(task),
    tasks: () => [...fences.keys()],
  };
}

function ignore(): void {}
