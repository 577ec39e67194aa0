import type { TaskId, TenantId } from '../domain/ids.ts';
import type { OwnedTask, TaskMemory } from '../domain/node.ts';
import type { Clock, Schedule } from '../seams/clock.ts';
import type { TaskPlaceRepository } from '../seams/shared-store.ts';
import { callsAhead, saysAll } from './calls-ahead.ts';

/** What calls leave behind, in the store before they go on; and the proof that their task is still this node's. */
export interface TaskLedger {
  /** A task of this node's, from now on. Of two claims the newer one's fence counts, whichever is gone on with last: nothing would be kept under the older. */
  add(task: TaskId, fence: number): void;
  /**
   * Makes the memory of a task and of those above it durable. One statement for all that ask while the one before is under way.
   * @returns true, at once, where the store has all of it already: calls that come fast are counted there ahead. False when one of them is another
   * node's by now: nothing may follow. While a node is a member nobody takes its tasks: whoever goes on at once asks for that alone.
   * @throws `ERR_STORE_*`
   */
  keep(task: TaskId): true | Promise<boolean>;
  /** What was counted ahead and not made is given back: of all tasks, before they are left to others. @throws `ERR_STORE_*` */
  settle(): Promise<void>;
  has(task: TaskId): boolean;
  remove(task: TaskId): void;
  /** Tasks of this node's. */
  tasks(): readonly TaskId[];
}

interface Entry {
  fence: number;
  /** What the store has at least; undefined: not known, or less from now on. */
  kept: TaskMemory | undefined;
  /** Calls that the store has at most: of a statement that was not answered, too. */
  told: number;
  /** Counts what was given back. Of a statement that was under way then nothing is taken. */
  round: number;
  /** Calls that had been made when it was told last, and when, by the monotonic clock. */
  made: number;
  at: number;
  /** Calls that had been made when it was last looked at for what can be given back. */
  seen: number;
  /** The next statement is about it anyway. */
  isDue: boolean;
}

interface Batch {
  readonly tasks: Set<TaskId>;
  /** Calls that wait for it. */
  waiting: number;
  readonly written: Promise<Kept>;
  readonly resolve: (kept: Kept) => void;
  readonly reject: (fault: unknown) => void;
}

/** Of each task, as whose it was written: one that was let go of and came back meanwhile is another. */
type Kept = ReadonlyMap<TaskId, Entry>;

/** Turns that a batch is gathered for at most. */
const MOST_TURNS = 16;

/** What is counted ahead is given back when no call was made between two looks. */
const GIVE_BACK_MS = 1_000;

/**
 * A statement costs about as much CPU as a call, for however many tasks it is. So, like the journal, a batch waits for the next turn of the event
 * loop as long as each turn adds to it; where one call comes after the other, there is nothing to wait for, and none does. Calls that come fast
 * need not wait for one at all: the store has counted them ahead, and is told of the next when half of them are made.
 */
export function createTaskLedger(parts: {
  readonly tenant: TenantId;
  readonly owner: string;
  readonly repository: Pick<TaskPlaceRepository, 'keep'>;
  /** As it is now. Parts that have not changed are the same objects. */
  readonly memoryOf: (task: TaskId) => TaskMemory;
  /** The task, and those above it whose budgets it takes of and whose labels it joins. */
  readonly chainOf: (task: TaskId) => readonly TaskId[];
  readonly callsLeft: (task: TaskId) => number;
  /** Resumes when the event loop has come round. */
  readonly nextTurn: (resume: () => void) => void;
  readonly monotonic: Clock;
  readonly schedule: Schedule;
}): TaskLedger {
  const { tenant, owner, repository, memoryOf, chainOf, callsLeft, nextTurn, monotonic, schedule } = parts;
  const entries = new Map<TaskId, Entry>();
  let filling: Batch | undefined;
  /** From the first that asks until nobody waits. */
  let isUnderWay = false;
  /** How many waited for the last batch: after one, the next is not gathered for. */
  let lastWaiting = 0;
  /** It is looked for what can be given back. */
  let isLooking = false;
  let cancelLook = (): void => {};
  /** Nothing is counted ahead any more. */
  let isOver = false;

  /** What to write of a task: never less than the store may be relied upon to have. */
  function rowOf(task: TaskId, entry: Entry): OwnedTask {
    const memory = memoryOf(task);
    const { calls, usage } = memory;
    const { fence } = entry;
    const now = monotonic();
    const ahead = usage === undefined && !isOver ? callsAhead(calls - entry.made, now - entry.at, callsLeft(task)) : 0;
    const counted = Math.max(calls + ahead, entry.kept?.calls ?? 0);
    entry.made = calls;
    entry.at = now;
    entry.isDue = false;
    entry.told = Math.max(entry.told, counted);
    if (counted === calls) return { task, fence, memory };
    lookLater();
    return { task, fence, memory: { ...memory, calls: counted, ahead: { calls: counted - calls, by: owner } } };
  }

  /** Memories are read when it is their turn: later ones say all that earlier ones did. */
  async function write(tasks: Iterable<TaskId>): Promise<Kept> {
    const rows: OwnedTask[] = [];
    const written: { readonly entry: Entry; readonly round: number }[] = [];
    for (const task of tasks) {
      const entry = entries.get(task);
      if (entry === undefined) continue;
      rows.push(rowOf(task, entry));
      written.push({ entry, round: entry.round });
    }
    if (rows.length === 0) return NONE;
    const kept = await repository.keep(tenant, owner, rows);
    const found = new Map<TaskId, Entry>();
    rows.forEach(({ task, fence, memory }, index) => {
      const { entry, round } = written[index] as (typeof written)[number];
      const isKept = kept.has(task) && entry.fence === fence;
      if (kept.has(task)) found.set(task, entry);
      entry.kept = isKept && entry.round === round ? memory : undefined;
      // Of what is another node's by now there is nothing to give back.
      entry.told = kept.has(task) ? memory.calls : 0;
    });
    return found;
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

  /** The batch that is written next, with these tasks. */
  function fill(tasks: readonly TaskId[]): Batch {
    filling ??= makeBatch();
    for (const task of tasks) filling.tasks.add(task);
    if (!isUnderWay) {
      isUnderWay = true;
      queueMicrotask(begin);
    }
    return filling;
  }

  async function wait(chain: readonly TaskId[]): Promise<boolean> {
    const asked = chain.map((one) => entries.get(one));
    const batch = fill(chain);
    batch.waiting += 1;
    const kept = await batch.written;
    return asked.every((entry, index) => entry !== undefined && kept.get(chain[index] as TaskId) === entry);
  }

  /** The store is told of more before what it was told of has been used up. */
  function tellAhead(task: TaskId, entry: Entry): void {
    entry.isDue = true;
    // Whoever finds nothing left waits for a statement of its own, and meets the fault.
    fill([task]).written.catch(ignore);
  }

  function giveBack(which: (entry: Entry, calls: number) => boolean): Batch | undefined {
    let batch: Batch | undefined;
    for (const [task, entry] of entries) {
      const { calls } = memoryOf(task);
      if (entry.told <= calls || !which(entry, calls)) continue;
      // From now on less is written than was: nothing is taken of it meanwhile. And there is no pace: nothing is ahead.
      entry.kept = undefined;
      entry.round += 1;
      entry.made = calls;
      batch = fill([task]);
    }
    return batch;
  }

  function lookLater(): void {
    if (isLooking || isOver) return;
    isLooking = true;
    cancelLook = schedule(GIVE_BACK_MS, () => {
      isLooking = false;
      giveBack((entry, calls) => calls === entry.seen)?.written.catch(ignore);
      for (const [task, entry] of entries) {
        const { calls } = memoryOf(task);
        entry.seen = calls;
        if (entry.told > calls) lookLater();
      }
    });
  }

  return {
    add(task, fence) {
      const known = entries.get(task);
      if (known === undefined) {
        const { calls } = memoryOf(task);
        const made = { made: calls, at: monotonic(), seen: calls, isDue: false };
        entries.set(task, { fence, kept: undefined, told: 0, round: 0, ...made });
      } else if (fence > known.fence) {
        known.fence = fence;
        known.kept = undefined;
      }
    },
    keep(task) {
      const chain = chainOf(task);
      for (const one of chain) {
        const entry = entries.get(one);
        if (entry?.kept === undefined) return wait(chain);
        const now = memoryOf(one);
        if (!saysAll(entry.kept, now)) return wait(chain);
        if (isHalfUsed(entry, now.calls, entry.kept.calls)) tellAhead(one, entry);
      }
      return true;
    },
    async settle() {
      isOver = true;
      cancelLook();
      await giveBack(() => true)?.written;
    },
    has: (task) => entries.has(task),
    remove: (task) => void entries.delete(task),
    tasks: () => [...entries.keys()],
  };
}

function makeBatch(): Batch {
  let resolve: Batch['resolve'] = ignore;
  let reject: Batch['reject'] = ignore;
  const written = new Promise<Kept>((...settle) => {
    [resolve, reject] = settle;
  });
  return { tasks: new Set(), waiting: 0, written, resolve, reject };
}

const isHalfUsed = ({ made, isDue }: Entry, calls: number, counted: number): boolean =>
  !isDue && calls > made && counted - calls <= calls - made;

const NONE: Kept = new Map();

function ignore(): void {}
