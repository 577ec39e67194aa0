import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Checkpoint, readCheckpoints } from './checkpoint-file.ts';
import { CHECKPOINT_FILE, leavesFile } from './frame.ts';
import { damagedJournal } from './frame-reader.ts';
import { listSegments } from './segments.ts';
import type { Verifier } from './signed-note.ts';
import { writeFault } from './write-watch.ts';

/** How many checkpoints stay of a segment that is full, each the last of its part. They say where in it a change is; the last one alone proves it. */
const OF_A_SEGMENT = 16;
/** Of one whose records were removed there is nothing left to find. */
const OF_A_REMOVED_ONE = 1;

/** About thirty notes: what is checked at a time while calls wait. */
const PIECE = 8 * 1024;

export interface ThinnedCheckpoints {
  /** The file to be put in place of the one that is written to, durable up to where reading ended. */
  readonly path: string;
  readonly length: number;
  /** Bytes of the file that was read: what is behind them has to be added. */
  readonly readLength: number;
  readonly dropped: number;
}

interface Part {
  readonly first: number;
  readonly end: number;
  readonly kept: number;
}

export const thinnedFile = (folder: string): string => join(folder, `${CHECKPOINT_FILE}.new`);

/**
 * Writes, beside the `checkpoints` file, one that has fewer of the notes over whole segments before a position: the newest of each part. Every note
 * covers all before it, and proofs are made of leaf hashes: what is dropped proved nothing that another does not. A note that this key has
 * not signed is never dropped.
 * @param length of the file, as far as it is durable
 * @returns undefined, and no file, where less than a third would go
 * @throws `ERR_JOURNAL_DAMAGED`, `ERR_JOURNAL_FAILED`, `ERR_JOURNAL_FULL`: nothing was changed
 */
export async function thinCheckpoints(
  folder: string,
  verifier: Verifier,
  options: { readonly before: number; readonly length: number },
): Promise<ThinnedCheckpoints | undefined> {
  const path = thinnedFile(folder);
  const parts = await wholeSegments(folder, options.before);
  try {
    const target = await open(path, 'w', 0o600);
    const thinned = await copyKept(folder, target, verifier, parts, options.length).finally(() => target.close());
    if (options.length - thinned.length >= options.length / 3) return { path, readLength: options.length, ...thinned };
    await rm(path);
    return undefined;
  } catch (cause) {
    await rm(path, { force: true }).catch(() => {});
    throw writeFault(path, cause);
  }
}

async function copyKept(
  folder: string,
  target: FileHandle,
  verifier: Verifier,
  parts: readonly Part[],
  end: number,
): Promise<{ length: number; dropped: number }> {
  const source = join(folder, CHECKPOINT_FILE);
  const file = await open(source, 'r');
  let [offset, length, dropped] = [0, 0, 0];
  let rest = '';
  /** The newest note so far of its part, and which part that is. */
  let newest = '';
  let part: string | undefined;
  let size = -1;
  const partOf = findPart(parts);
  const bytes = Buffer.alloc(PIECE);
  const write = async (text: string): Promise<void> => {
    if (text === '') return;
    await target.appendFile(text, 'latin1');
    length += text.length;
  };
  try {
    while (offset < end) {
      const { bytesRead } = await file.read(bytes, 0, Math.min(PIECE, end - offset), offset);
      if (bytesRead === 0) throw damagedJournal(source, offset, undefined, 'it is shorter than what was written to it');
      offset += bytesRead;
      const text = rest + bytes.toString('latin1', 0, bytesRead);
      const read = readCheckpoints(text, verifier);
      const at = offset - text.length;
      if ('damage' in read) throw damagedJournal(source, at + read.damage.offset, undefined, read.damage.what);
      const [first] = read.checkpoints;
      if (first !== undefined && first.size <= size) {
        throw damagedJournal(source, at, undefined, `a note has size ${first.size} after size ${size}`);
      }
      let kept = '';
      for (const [index, note] of read.checkpoints.entries()) {
        const its = partOf(note.size);
        if (its !== part || its === undefined) kept += newest;
        else dropped += 1;
        [part, size, newest] = [its, note.size, text.slice(note.offset, endOf(read, index))];
      }
      await write(kept);
      rest = text.slice(read.length);
    }
    if (rest !== '') throw damagedJournal(source, offset - rest.length, undefined, 'its last note is not whole');
    await write(newest);
    await target.sync();
    return { length, dropped };
  } finally {
    await file.close();
  }
}

const endOf = (read: { checkpoints: readonly Checkpoint[]; length: number }, index: number): number =>
  read.checkpoints[index + 1]?.offset ?? read.length;

/** Notes of the same part can stand for each other; undefined for one that stays. Asked for rising sizes. */
function findPart(parts: readonly Part[]): (size: number) => string | undefined {
  let index = 0;
  return (size) => {
    while ((parts[index]?.end ?? size) < size) index += 1;
    const part = parts[index];
    if (part === undefined || size <= part.first) return undefined;
    const { first, end, kept } = part;
    // Rounded up, so that the one over the whole segment, where the next one begins, is the last of the last part.
    return `${index}/${Math.ceil(((size - first) * kept) / (end - first))}`;
  };
}

async function wholeSegments(folder: string, before: number): Promise<Part[]> {
  const { begun } = await listSegments(folder);
  const parts: Part[] = [];
  let first = 0;
  for (const [index, { number, hasFrames, header }] of begun.slice(0, -1).entries()) {
    if (header !== undefined) first = header.first;
    const next = begun[index + 1]?.header?.first;
    const end = next ?? first + (await stat(join(folder, leavesFile(number)))).size / 32;
    if (end > before) break;
    parts.push({ first, end, kept: hasFrames ? OF_A_SEGMENT : OF_A_REMOVED_ONE });
    first = end;
  }
  return parts;
}

/**
 * Puts it in the place of the file that was read, with what was written to that one meanwhile; nothing may be written to that one from the call on. A
 * crash leaves one or the other, whole.
 * @param length of the old file
 * @throws `ERR_JOURNAL_FAILED`, `ERR_JOURNAL_FULL`: the old file is in its place
 */
export async function putInPlace(folder: string, thinned: ThinnedCheckpoints, length: number): Promise<void> {
  const { path, readLength } = thinned;
  const place = join(folder, CHECKPOINT_FILE);
  try {
    if (length > readLength) await addNewest(place, path, readLength, length);
    await rename(path, place);
  } catch (cause) {
    await rm(path, { force: true }).catch(() => {});
    throw writeFault(path, cause);
  }
}

async function addNewest(from: string, to: string, start: number, end: number): Promise<void> {
  const [source, target] = await Promise.all([open(from, 'r'), open(to, 'a')]);
  try {
    const bytes = Buffer.alloc(end - start);
    const { bytesRead } = await source.read(bytes, 0, bytes.length, start);
    if (bytesRead < bytes.length) throw new Error('the checkpoints are shorter than what was written to them');
    await target.appendFile(bytes);
    await target.sync();
  } finally {
    await Promise.all([source.close(), target.close()]);
  }
}
