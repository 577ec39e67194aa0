import { messageOf } from '../domain/errors.ts';
import type { Task } from '../domain/task.ts';
import type { TaskRegistryOptions } from './task-registry.ts';

export type MakeDurableParts = Pick<
  TaskRegistryOptions,
  'tenant' | 'repository' | 'clock' | 'log' | 'isShared' | 'onStarting' | 'onStarted' | 'onRefused'
> & {
  /** Most active tasks of one agent; the store counts them where others start tasks of it too. */
  readonly most: number;
  /** As far as the revocation log was read, asked when the row is written. */
  readonly logPosition: () => number;
};

/**
 * Gives a task its row, then its place on the trail. What a failure on the way leaves is taken back first, so that nothing is half made.
 * @returns false where the store has as many of its agent's as may be
 * @throws `ERR_STORE_*`, `ERR_JOURNAL_*`
 */
export async function makeDurable(parts: MakeDurableParts, task: Task): Promise<boolean> {
  const { repository, most, logPosition } = parts;
  await parts.onStarting?.(task);
  try {
    if (parts.isShared !== true) await repository.insert(task, logPosition());
    else if (!(await repository.insertWithin(most, task, logPosition()))) {
      await parts.onRefused?.(task);
      return false;
    }
    await parts.onStarted?.(task);
    return true;
  } catch (error) {
    await takeBack(parts, task);
    throw error;
  }
}

/**
 * Not in the audit log, so it never was: nobody has seen the task, and it is ended without listeners. There may be a row although the store
 * gave a fault, of a commit whose answer was lost: that would count as one of the agent's for ever.
 */
async function takeBack({ repository, tenant, clock, log, onRefused }: MakeDurableParts, task: Task): Promise<void> {
  try {
    await repository.end(tenant, task.id, 'revoked', clock());
  } catch (fault) {
    // What `onStarting` made stays: by that it is found, and ended at its expiry.
    log.error(
      { task: task.id, error: messageOf(fault) },
      'unrecorded task could not be ended; it lapses at its expiry',
    );
    return;
  }
  await onRefused?.(task);
}
