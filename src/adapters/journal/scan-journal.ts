import { type FileHandle, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Checkpoint, readCheckpoints, type TreeHead } from './checkpoint-file.ts';
import { CHECKPOINT_FILE, LOG_FILE, VERIFIER_FILE } from './frame.ts';
import { endOf, FIRST_FRAME, FrameDamage, hasSegmentHeader, readFault, readFrames } from './frame-reader.ts';
import { hashPrefixedLeaf, MerkleTree } from './merkle-tree.ts';
import type { Verifier } from './signed-note.ts';

/** What is wrong with a journal, and where. */
export interface JournalProblem {
  readonly kind: 'missing' | 'header' | 'frame' | 'checkpoint' | 'shortened' | 'rewritten' | 'key';
  readonly where: { readonly file: string; readonly offset: number; readonly record?: number };
  readonly what: string;
}

/** A journal that is what its tree heads say. */
export interface SoundJournal {
  readonly tree: MerkleTree;
  /** Newest tree head; undefined only if not even the first one was finished. */
  readonly head: TreeHead | undefined;
  readonly checkpoints: number;
  /** Bytes up to the end of the last whole frame or note. What is behind them is an incomplete write. */
  readonly logLength: number;
  readonly logFileLength: number;
  readonly checkpointsLength: number;
  readonly checkpointsFileLength: number;
  /** Byte offset of every `OFFSET_STEP`-th frame, from the first. */
  readonly offsets: number[];
}

export const OFFSET_STEP = 256;

/**
 * Reads a journal from end to end: every checksum, every signature, and the tree's root at every signed size. Checkpoints
 * are read first, so that a gateway that appends meanwhile does no harm.
 * @param anchor a tree head kept elsewhere, which the log must still contain
 */
export async function scanJournal(
  folder: string,
  verifier: Verifier,
  anchor?: TreeHead,
): Promise<SoundJournal | JournalProblem> {
  const checkpointPath = join(folder, CHECKPOINT_FILE);
  const logPath = join(folder, LOG_FILE);
  // The key's file is written last: once it is there, the others were.
  const isComplete = (await readIfThere(join(folder, VERIFIER_FILE))) !== undefined;

  const notes = await readIfThere(checkpointPath);
  if (notes === undefined && isComplete) return missing(checkpointPath);
  const text = notes?.toString('latin1') ?? '';
  const read = readCheckpoints(text, verifier);
  if ('damage' in read) {
    return { kind: 'checkpoint', where: { file: checkpointPath, offset: read.damage.offset }, what: read.damage.what };
  }
  if (isComplete && read.checkpoints.length === 0) {
    return { kind: 'checkpoint', where: { file: checkpointPath, offset: 0 }, what: 'there is no checkpoint at all' };
  }

  const file = await openIfThere(logPath);
  if (file === undefined) return isComplete || notes !== undefined ? missing(logPath) : emptyJournal();
  try {
    const log = await scanLog(file, logPath, read.checkpoints, anchor);
    if ('kind' in log) return log;
    return {
      ...log,
      head: read.checkpoints.at(-1),
      checkpoints: read.checkpoints.length,
      checkpointsLength: read.length,
      checkpointsFileLength: text.length,
    };
  } finally {
    await file.close();
  }
}

type LogScan = Pick<SoundJournal, 'tree' | 'logLength' | 'logFileLength' | 'offsets'>;

async function scanLog(
  file: FileHandle,
  path: string,
  checkpoints: readonly Checkpoint[],
  anchor: TreeHead | undefined,
): Promise<LogScan | JournalProblem> {
  const heads: TreeHead[] = anchor === undefined ? [...checkpoints] : [...checkpoints, anchor];
  heads.sort((a, b) => a.size - b.size);
  const tree = new MerkleTree();
  const offsets: number[] = [];
  let matched = { size: 0, offset: FIRST_FRAME.offset };
  let next = 0;
  /** Compares the root at every head of the size reached; false when one of them says otherwise. */
  const isAsSigned = (offset: number): boolean => {
    for (; heads[next]?.size === tree.size; next += 1) {
      if (heads[next]?.root !== tree.root()) return false;
      matched = { size: tree.size, offset };
    }
    return true;
  };
  const rewritten = (): JournalProblem => ({
    kind: 'rewritten',
    where: { file: path, offset: matched.offset, record: matched.size },
    what: `records ${matched.size} to ${tree.size - 1} are not those that were signed: the tree heads of sizes ${matched.size} and ${tree.size} enclose the change`,
  });

  let end = FIRST_FRAME;
  const { size: logFileLength } = await file.stat();
  try {
    if (!(await hasSegmentHeader(file))) {
      const last = heads.at(-1);
      if (last !== undefined)
        return { kind: 'header', where: { file: path, offset: 0 }, what: 'the header is cut short' };
      return { tree, offsets, logLength: 0, logFileLength };
    }
    if (!isAsSigned(FIRST_FRAME.offset)) return rewritten();
    const batches = readFrames(file, FIRST_FRAME, logFileLength);
    let batch = await batches.next();
    for (; batch.done !== true; batch = await batches.next()) {
      for (const frame of batch.value) {
        const { bytes, start, end: frameEnd } = frame;
        if (tree.size % OFFSET_STEP === 0) offsets.push(frame.offset);
        // The byte in front belongs to a header that has been checked: it lends its place to RFC 6962's leaf prefix.
        bytes[start - 1] = 0;
        tree.append(hashPrefixedLeaf(bytes.subarray(start - 1, frameEnd)));
        if (heads[next]?.size === tree.size && !isAsSigned(endOf(frame))) return rewritten();
      }
    }
    end = batch.value;
  } catch (error) {
    if (!(error instanceof FrameDamage)) throw readFault(path, error);
    const kind = error.offset === 0 ? 'header' : 'frame';
    return { kind, where: { file: path, offset: error.offset, record: error.position }, what: error.message };
  }
  const unmet = heads.at(-1);
  if (unmet !== undefined && unmet.size > tree.size) {
    const what = `the log ends after ${tree.size} records, and a checkpoint was signed over ${unmet.size}`;
    return { kind: 'shortened', where: { file: path, offset: end.offset, record: tree.size }, what };
  }
  return { tree, offsets, logLength: end.offset, logFileLength };
}

function missing(file: string): JournalProblem {
  return { kind: 'missing', where: { file, offset: 0 }, what: 'the file is missing' };
}

function emptyJournal(): SoundJournal {
  const lengths = { logLength: 0, logFileLength: 0, checkpointsLength: 0, checkpointsFileLength: 0 };
  return { tree: new MerkleTree(), head: undefined, checkpoints: 0, offsets: [], ...lengths };
}

export async function readIfThere(path: string): Promise<Buffer | undefined> {
  return await readFile(path).catch((cause) => whenMissing(path, cause));
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  return await open(path, 'r').catch((cause) => whenMissing(path, cause));
}

function whenMissing(path: string, cause: NodeJS.ErrnoException): undefined {
  if (cause.code !== 'ENOENT') throw readFault(path, cause);
}
