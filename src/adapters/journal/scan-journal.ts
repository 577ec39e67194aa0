import { join } from 'node:path';
import { readCheckpoints, type TreeHead } from './checkpoint-file.ts';
import { BLOCK, CHECKPOINT_FILE, leavesFile, notesFile, segmentFile, VERIFIER_FILE } from './frame.ts';
import { endOf, FrameDamage, readFault, readFrames } from './frame-reader.ts';
import { MerkleTree, type TreeHash } from './merkle-tree.ts';
import { readNewestNotes } from './newest-notes.ts';
import { listSegments, openFrames, readIfThere, readLeaves, type Segment } from './segments.ts';
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
  /** A copy of what is closed alone: the log goes on elsewhere. */
  readonly isPart: boolean;
  /** Bytes up to the end of the last whole note. What is behind them is an incomplete write. */
  readonly checkpointsLength: number;
  readonly checkpointsFileLength: number;
  /** Begun, in order; the last one is being written to. */
  readonly segments: readonly Segment[];
  /** Of the last segment: where its frames end, and where the remains of an incomplete write do. 0 if it was not begun. */
  readonly logLength: number;
  readonly dirtyEnd: number;
  /** Leaf hashes of the last segment's frames. */
  readonly leaves: readonly TreeHash[];
}

export interface ScanOptions {
  /** A tree head kept elsewhere, which the log must still contain. */
  readonly anchor?: TreeHead | undefined;
  /**
   * Reads from the newest segment on that a checkpoint confirms where it begins: all before it is under that signature, and
   * is there, but is not read. So a start takes as long as a segment does, whatever the log's length. Left out: reads all.
   */
  readonly fromLastSegment?: boolean;
  /** Told every leaf hash that is read, in order. */
  readonly onLeaf?: (leaf: TreeHash) => void;
}

/**
 * Reads a journal: every checksum, every signature, and the tree's root at every signed size. Checkpoints are read first,
 * so that a gateway that appends meanwhile does no harm. Of a segment that retention has removed, the leaf hashes are read.
 */
export async function scanJournal(
  folder: string,
  verifier: Verifier,
  options: ScanOptions = {},
): Promise<SoundJournal | JournalProblem> {
  const checkpointPath = join(folder, CHECKPOINT_FILE);
  // The key's file is written last: once it is there, the others were.
  const isComplete = (await readIfThere(join(folder, VERIFIER_FILE))) !== undefined;
  const isQuick = options.fromLastSegment === true;
  const notes: ReadNotes | undefined = isQuick
    ? await readNewestNotes(checkpointPath, verifier.name, await firstOfLast(folder))
    : ((await readAllNotes(checkpointPath)) ?? (await readShippedNotes(folder)));
  if (notes === undefined && isComplete) return missing(checkpointPath);
  const { text, offset, isPart = false } = notes ?? NO_NOTES;
  const read = readCheckpoints(text, verifier, isQuick);
  if ('damage' in read) {
    const where = { file: checkpointPath, offset: offset + read.damage.offset };
    return { kind: 'checkpoint', where, what: read.damage.what };
  }
  if (isComplete && read.checkpoints.length === 0) {
    return { kind: 'checkpoint', where: { file: checkpointPath, offset: 0 }, what: 'there is no checkpoint at all' };
  }
  const log = await scanLog(folder, read.checkpoints, isComplete || notes !== undefined, { ...options, isPart });
  if ('kind' in log) return log;
  return {
    ...log,
    isPart,
    head: read.checkpoints.at(-1),
    checkpoints: read.checkpoints.length,
    checkpointsLength: offset + read.length,
    checkpointsFileLength: offset + text.length,
  };
}

interface ReadNotes {
  readonly text: string;
  readonly offset: number;
  readonly isPart?: boolean;
}

const NO_NOTES: ReadNotes = { text: '', offset: 0 };

/** In place of the one file, a copy of closed segments has one for each. */
async function readShippedNotes(folder: string): Promise<ReadNotes | undefined> {
  const texts: string[] = [];
  for (let number = 0; ; number += 1) {
    const bytes = await readIfThere(join(folder, notesFile(number)));
    if (bytes === undefined) break;
    texts.push(bytes.toString('latin1'));
  }
  return texts.length === 0 ? undefined : { text: texts.join(''), offset: 0, isPart: true };
}

async function readAllNotes(path: string): Promise<ReadNotes | undefined> {
  const bytes = await readIfThere(path);
  return bytes === undefined ? undefined : { text: bytes.toString('latin1'), offset: 0 };
}

/**
 * Position of the first record of the newest segment but one: a crash may have come before a head confirmed where the newest begins. 0 where it
 * cannot be told, and everything has to be read.
 */
async function firstOfLast(folder: string): Promise<number> {
  const { begun } = await listSegments(folder).catch(() => ({ begun: [] as readonly Segment[] }));
  return (begun.at(-2)?.header ?? begun.at(-1)?.header)?.first ?? 0;
}

type LogScan = Pick<SoundJournal, 'tree' | 'segments' | 'logLength' | 'dirtyEnd' | 'leaves'>;

async function scanLog(
  folder: string,
  checkpoints: readonly TreeHead[],
  isMade: boolean,
  { anchor, fromLastSegment, onLeaf, isPart }: ScanOptions & { readonly isPart: boolean },
): Promise<LogScan | JournalProblem> {
  const heads: TreeHead[] = anchor === undefined ? [...checkpoints] : [...checkpoints, anchor];
  heads.sort((a, b) => a.size - b.size);
  let tree = new MerkleTree();
  let path = join(folder, segmentFile(0));
  let matched = { path, size: 0, offset: BLOCK };
  let next = 0;
  /** Compares the root at every head of the size reached; false when one of them says otherwise. */
  const isAsSigned = (offset: number): boolean => {
    for (; heads[next]?.size === tree.size; next += 1) {
      if (heads[next]?.root !== tree.root()) return false;
      matched = { path, size: tree.size, offset };
    }
    return true;
  };
  const rewritten = (): JournalProblem => ({
    kind: 'rewritten',
    where: { file: matched.path, offset: matched.offset, record: matched.size },
    what: `records ${matched.size} to ${tree.size - 1} are not those that were signed: the tree heads of sizes ${matched.size} and ${tree.size} enclose the change`,
  });

  try {
    const { begun, next: unbegun, missing: gone } = await listSegments(folder);
    if (gone[0] !== undefined) return missing(gone[0]);
    // Removed are the oldest ones: a gap is nobody's doing that had a right to it.
    const gap = begun.find(({ hasFrames }, index) => !hasFrames && (begun[index - 1]?.hasFrames ?? false));
    if (gap !== undefined || begun.at(-1)?.hasFrames === false) return missing((gap ?? begun.at(-1) ?? { path }).path);
    if (begun.length === 0) {
      if (unbegun === undefined && isMade) return missing(path);
      if (heads.some((head) => head.size > 0))
        return { kind: 'header', where: { file: path, offset: 0 }, what: 'the header is missing' };
      return { tree, segments: [], logLength: 0, dirtyEnd: 0, leaves: [] };
    }
    const from = fromLastSegment === true ? newestConfirmed(begun, heads) : 0;
    const header = begun[from]?.header;
    if (header !== undefined && from > 0) {
      tree = new MerkleTree(header.first, header.peaks);
      next = heads.findIndex((head) => head.size >= header.first);
      if (next < 0) next = heads.length;
    }
    let leaves: TreeHash[] = [];
    let end = { offset: 0, dirtyEnd: 0 };
    for (const segment of begun.slice(from)) {
      path = segment.path;
      leaves = [];
      const add = (leaf: TreeHash, offset: number): boolean => {
        tree.append(leaf);
        leaves.push(leaf);
        onLeaf?.(leaf);
        return heads[next]?.size !== tree.size || isAsSigned(offset);
      };
      const file = await openFrames(folder, segment);
      if (file === undefined) {
        if (!isAsSigned(0)) return rewritten();
        const kept = await readLeaves(folder, segment.number);
        path = join(folder, leavesFile(segment.number));
        if (kept === undefined) return missing(path);
        if (kept === null)
          return { kind: 'frame', where: { file: path, offset: 0 }, what: 'its length is not one of leaf hashes' };
        for (const [index, leaf] of kept.entries()) if (!add(leaf, index * 32)) return rewritten();
        continue;
      }
      try {
        const { first, peaks } = segment.header as NonNullable<Segment['header']>;
        if (first !== tree.size || peaks.join('') !== tree.peaks().join('')) {
          const what = `it begins at record ${first} and a tree that are not where the one before it ends`;
          return { kind: 'header', where: { file: path, offset: 0, record: tree.size }, what };
        }
        if (!isAsSigned(BLOCK)) return rewritten();
        const batches = readFrames(file, { offset: BLOCK, position: first }, segment === begun.at(-1));
        for (;;) {
          const batch = await batches.next();
          if (batch.done === true) {
            end = batch.value;
            break;
          }
          for (const frame of batch.value) if (!add(frame.leaf, endOf(frame))) return rewritten();
        }
      } finally {
        await file.close();
      }
    }
    const unmet = heads.at(-1);
    // What was kept elsewhere of a log of which a part is here may be over more of it.
    if (unmet !== undefined && unmet.size > tree.size && !(isPart && unmet === anchor)) {
      const what = `the log ends after ${tree.size} records, and a checkpoint was signed over ${unmet.size}`;
      return { kind: 'shortened', where: { file: path, offset: end.offset, record: tree.size }, what };
    }
    return { tree, segments: begun, logLength: end.offset, dirtyEnd: end.dirtyEnd, leaves };
  } catch (error) {
    if (!(error instanceof FrameDamage)) throw readFault(path, error);
    const kind = error.offset === 0 ? 'header' : 'frame';
    const file = error.path ?? path;
    return { kind, where: { file, offset: error.offset, record: error.position }, what: error.message };
  }
}

/** The newest segment at whose beginning a head was signed over just the tree that its header holds. */
function newestConfirmed(segments: readonly Segment[], heads: readonly TreeHead[]): number {
  for (let index = segments.length - 1; index > 0; index -= 1) {
    const header = segments[index]?.header;
    if (header === undefined) continue;
    const root = new MerkleTree(header.first, header.peaks).root();
    if (heads.some((head) => head.size === header.first && head.root === root)) return index;
  }
  return 0;
}

function missing(file: string): JournalProblem {
  return { kind: 'missing', where: { file, offset: 0 }, what: 'the file is missing' };
}
