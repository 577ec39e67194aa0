import { messageOf } from '../domain/errors.ts';
import type { TaskId, TenantId } from '../domain/ids.ts';
import type { Revocation, Standing } from '../domain/revocation.ts';
import type { Task } from '../domain/task.ts';
import type { Log } from '../seams/clock.ts';
import type { TaskRepository } from '../seams/store.ts';
import { holdOn } from './hold-on.ts';
import type { TaskTree } from './task-tree.ts';

/** A task that has not ended, as the registry keeps it. */
export interface TaskEntry {
  readonly task: Task;
  used: number;
  /** Being ended: refused to every caller from here on. */
  isClosing: boolean;
  /** Suspended: refused until that is taken back. */
  heldBy: Revocation | undefined;
  /** Follow-ups of suspensions, one after the other. */
  following: Promise<void>;
  attempts: number;
  cancelTimer: () => void;
}

/** Told of a task that a row of the revocation log suspended, or, with undefined, that goes on. */
export type SuspensionListener = (task: Task, by: Revocation | undefined) => Promise<void> | void;

/** What becomes of a task that is held back and let go again; what it holds is not kept for later. */
export function createSuspensions(parts: {
  tenant: TenantId;
  repository: Pick<TaskRepository, 'setState'>;
  standing: Standing;
  entries: ReadonlyMap<TaskId, TaskEntry>;
  tree: TaskTree;
  log: Log;
}) {
  const { tenant, repository, standing, entries, tree, log } = parts;
  const barListeners: ((task: Task) => void)[] = [];
  const listeners: SuspensionListener[] = [];

  /** A task is refused from now on: what is open for it is closed in the same step. */
  function bar({ task }: TaskEntry): void {
    for (const listener of barListeners) {
      try {
        listener(task);
      } catch (error) {
        log.error({ task: task.id, error: messageOf(error) }, 'what is open for a task could not be closed at once');
      }
    }
  }

  return {
    bar,
    onBarred: (listener: (task: Task) => void) => void barListeners.push(listener),
    onSuspension: (listener: SuspensionListener) => void listeners.push(listener),

    /** Finds out anew whether a task is held back; true when that has changed. */
    reconsider(entry: TaskEntry): boolean {
      const { task, heldBy: before } = entry;
      const above = tree.ancestorsOf(task).flatMap((id) => entries.get(id)?.task ?? []);
      entry.heldBy = holdOn(standing, [task, ...above]);
      return (before === undefined) !== (entry.heldBy === undefined);
    },

    /** After a change: closes what is open at once, then tells listeners, and writes it down for who reads rows. */
    follow(entry: TaskEntry): Promise<void> {
      const { task, heldBy } = entry;
      if (heldBy !== undefined) bar(entry);
      const state = heldBy === undefined ? 'active' : 'suspended';
      const told = listeners.map(async (listener) => listener({ ...task, state }, heldBy));
      entry.following = entry.following.then(async () => {
        const results = await Promise.allSettled([...told, repository.setState(tenant, task.id, state)]);
        for (const result of results) {
          if (result.status === 'rejected') {
            log.error({ task: task.id, state, error: messageOf(result.reason) }, 'a suspension is not complete');
          }
        }
      });
      return entry.following;
    },
  };
}
