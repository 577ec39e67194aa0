import { join } from 'node:path';
import Database from 'libsql';
import { RemitError } from '../../domain/errors.ts';
import { LOCK_FILE } from './frame.ts';

/**
 * Holds a folder for one process. The lock is the kernel's record lock that SQLite takes on an empty database file:
 * Node offers no `flock`, and a file with a process id in it cannot be taken over safely after a crash (two contenders
 * may both find it stale; ids repeat, and mean nothing in another container). The kernel drops this one with its holder.
 * @returns releases the lock; it is also held only as long as the function is referenced
 * @throws `ERR_ALREADY_RUNNING`
 */
export function lockFolder(folder: string): () => void {
  const path = join(folder, LOCK_FILE);
  let database: InstanceType<typeof Database> | undefined;
  try {
    database = new Database(path, { timeout: 0 });
    database.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    database?.close();
    if ((cause as { code?: string }).code !== 'SQLITE_BUSY') {
      const hint = 'The data folder must be on a file system with record locks, and this user’s to write.';
      throw new RemitError('ERR_JOURNAL_FAILED', 'the journal cannot be locked', { where: path, hint, cause });
    }
    throw new RemitError('ERR_ALREADY_RUNNING', 'another process is appending to this journal', {
      where: path,
      hint: 'Stop the other gateway, or give this one a data folder of its own.',
      cause,
    });
  }
  let isHeld = true;
  return () => {
    if (isHeld) database?.close();
    isHeld = false;
  };
}
