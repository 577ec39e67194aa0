import { statfs } from 'node:fs/promises';

const MiB = 1024 * 1024;
/** A journal makes room for what it will write a piece at a time: below this it soon has none. */
const LEAST = 16 * MiB;
/** Some hours of a busy gateway's records. */
const LITTLE = 256 * MiB;

export interface RoomProblem {
  readonly state: 'warn' | 'fail';
  readonly what: string;
  readonly hint: string;
}

/**
 * What is wrong with the room that a folder's disk has left for an ordinary user.
 * @param readFree bytes; rejects where the folder cannot be looked at
 */
export async function roomProblem(
  folder: string,
  readFree: (folder: string) => Promise<number> = freeBytes,
): Promise<RoomProblem | undefined> {
  const free = await readFree(folder).catch(() => undefined);
  if (free === undefined || free >= LITTLE) return undefined;
  return {
    state: free < LEAST ? 'fail' : 'warn',
    what: `the disk of ${folder} has ${Math.floor(free / MiB)} MiB left`,
    hint: 'Make room there: a gateway that cannot write its journal stops. `journal.keepDays` and `journal.keepMiB` bound what it takes.',
  };
}

async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}
