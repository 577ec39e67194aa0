import type { TaskId, TenantId } from '../domain/ids.ts';
import type { OwnedTask, TaskMemory } from '../domain/node.ts';
import type { TaskPlaceRepository } from '../seams/shared-store.ts';

/** What calls leave behind, in the store before they go on; and the proof that their task is still this node's. */
export interface TaskLedger {
  /** A task of this node's, from now on. Of two claims the newer one's fence counts, whichever is gone on with last: nothing would be kept under the older. */
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
  /** Calls that wait for it. */
  waiting: number;
  readonly written: Promise<ReadonlySet<TaskId>>;
  readonly resolve: (kept: ReadonlySet<TaskId>) => void;
  readonly reject: (fault: unknown) => void;
}

/** Turns that a batch is gathered for at most. */
const MOST_TURNS = 16;

/**
 * A statement costs about as much CPU as a call, for however many tasks it is. So, like the journal, a batch waits for the next turn of the event
 * loop as long as each turn adds to it; where one call comes after the other, there is nothing to wait for, and none does.
 */
export function createTaskLedger(parts: {
  readonly tenant: TenantId;
  readonly owner: string;
  readonly repository: Pick<TaskPlaceRepository, 'keep'>;
  /** As it is now. */
  readonly memoryOf: (task: TaskId) => TaskMemory;
  /** The task, and those above it whose budgets it takes of and whose labels it joins. */
  readonly chainOf: (task: TaskId) => readonly TaskId[];
  /** Resumes when the event loop has come round. */
  readonly nextTurn: (resume: () => void) => void;
}): TaskLedger {
  const { tenant, owner, repository, memoryOf, chainOf, nextTurn } = parts;
  const fences = new Map<TaskId, number>();
  let filling: Batch | undefined;
  /** From the first that asks until nobody waits. */
  let isUnderWay = false;
  /** How many waited for the last batch: after one, the next is not gathered for. */
  let lastWaiting = 0;

  /** Memories are read when it is their turn: later ones say all that earlier ones did. */
  async function write(tasks: Iterable<TaskId>): Promise<ReadonlySet<TaskId>> {
    const rows: OwnedTask[] = [];
    for (const task of tasks) {
      const fence = fences.get(task);
      if (fence !== undefined) rows.push({ task, fence, memory: memoryOf(task) });
    }
    return rows.length === 0 ? new Set() : await repository.keep(tenant, owner, rows);
  }

  function begin(): void {
    isUnderWay = filling !== undefined;
    if (filling === undefined) return;
    if (lastWaiting <= 1) writeNext(filling);
    else gather(filling, 0, 1);
  }

  function gather(batch: Batch, gathered: number, turn: number): void {
    nextTurn(() => {
      const { waiting } = batch;
      if (waiting <= 1 || waiting === gathered || turn >= MOST_TURNS) writeNext(batch);
      else gather(batch, waiting, turn + 1);
    });
  }

  function writeNext(batch: Batch): void {
    filling = undefined;
    lastWaiting = batch.waiting;
    write(batch.tasks).then(batch.resolve, batch.reject).finally(begin);
  }

  function fill(): Batch {
    let resolve: Batch['resolve'] = ignore;
    let reject: Batch['reject'] = ignore;
    const written = new Promise<ReadonlySet<TaskId>>((...settle) => {
      [resolve, reject] = settle;
    });
    return { tasks: new Set(), waiting: 0, written, resolve, reject };
  }

  return {
    add: (task, fence) => void fences.set(task, Math.max(fence, fences.get(task) ?? fence)),
    async keep(task) {
      const chain = chainOf(task);
      filling ??= fill();
      const batch = filling;
      batch.waiting += 1;
      for (const one of chain) batch.tasks.add(one);
      if (!isUnderWay) {
        isUnderWay = true;
        queueMicrotask(begin);
      }
      const kept = await batch.written;
      return chain.every((one) => kept.has(one));
    },
    has: (task) => fences.has(task),
    remove: (task) => void fences.delete(task),
    tasks: () => [...fences.keys()],
  };
}

function ignore(): void {}
