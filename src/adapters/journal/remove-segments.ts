import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { JournalSegment, SegmentRemoval } from '../../seams/journal.ts';
import { BLOCK, leavesFile, type SegmentHeader } from './frame.ts';
import { damagedJournal, readFrames } from './frame-reader.ts';
import { MerkleTree, type TreeHash } from './merkle-tree.ts';
import { syncFolder, writeLeaves } from './segment-chain.ts';
import { listSegments, openFrames, readLeaves, type Segment } from './segments.ts';
import { writeFault } from './write-watch.ts';

type Kept = Segment & { readonly header: SegmentHeader };

/** Segments whose frames are there, oldest first. @param size where the last one ends */
export async function keptSegments(folder: string, size: number): Promise<JournalSegment[]> {
  const kept = await listKept(folder);
  return await Promise.all(
    kept.map(async ({ path, header: { first, begunAt } }, index) => ({
      first,
      end: kept[index + 1]?.header.first ?? size,
      begunAt,
      bytes: (await stat(path).catch(() => undefined))?.size ?? 0,
    })),
  );
}

/**
 * Removes the frames of whole segments that end at `limit` or before, oldest first, so that what is left is always the log's end. First it is
 * made sure that the leaf hashes of each lead from the tree before it to the tree behind it: they are all that proofs will have.
 * @param announce awaited before anything is removed
 * @throws `ERR_JOURNAL_DAMAGED` (leaf hashes that are not the segment's), `ERR_JOURNAL_FAILED`: what `announce` was not told of is all there
 */
export async function removeSegments(
  folder: string,
  limit: number,
  announce: (removal: SegmentRemoval) => Promise<void>,
): Promise<SegmentRemoval | undefined> {
  const kept = await listKept(folder);
  // The one that is written to has no successor, and is never removed.
  const count =
    kept.findLastIndex((_, index) => (kept[index + 1]?.header.first ?? Number.POSITIVE_INFINITY) <= limit) + 1;
  const [oldest, behind] = [kept[0], kept[count]];
  if (count === 0 || oldest === undefined || behind === undefined) return undefined;
  let bytes = 0;
  for (let index = 0; index < count; index += 1) {
    const segment = kept[index] as Kept;
    await keepLeaves(folder, segment, kept[index + 1] as Kept);
    bytes += (await stat(segment.path)).size;
  }
  const { first: end, peaks } = behind.header;
  const root = Buffer.from(new MerkleTree(end, peaks).root(), 'latin1').toString('base64');
  const removal = { first: oldest.header.first, end, segments: count, bytes, root };
  await announce(removal);
  for (const { path } of kept.slice(0, count)) {
    try {
      await rm(path);
      // One after the other also on the disk: after a power failure there is no gap.
      await syncFolder(folder);
    } catch (cause) {
      throw writeFault(path, cause);
    }
  }
  return removal;
}

async function listKept(folder: string): Promise<Kept[]> {
  const { begun } = await listSegments(folder);
  return begun.filter((segment): segment is Kept => segment.hasFrames && segment.header !== undefined);
}

/** Leaf hashes that a crash kept from being written are made of the frames. */
async function keepLeaves(folder: string, segment: Kept, next: Kept): Promise<void> {
  const stored = await readLeaves(folder, segment.number);
  const leaves = stored ?? (await leavesOf(folder, segment));
  const tree = new MerkleTree(segment.header.first, segment.header.peaks);
  for (const leaf of leaves) tree.append(leaf);
  if (tree.size !== next.header.first || tree.peaks().join('') !== next.header.peaks.join('')) {
    const file = join(folder, leavesFile(segment.number));
    throw damagedJournal(file, 0, segment.header.first, 'leaf hashes do not lead to where the next segment begins');
  }
  if (stored === undefined || stored === null) {
    await writeLeaves(folder, segment.number, Buffer.from(leaves.join(''), 'latin1'));
  }
}

async function leavesOf(folder: string, segment: Kept): Promise<TreeHash[]> {
  const file = await openFrames(folder, segment);
  const leaves: TreeHash[] = [];
  try {
    if (file === undefined) return leaves;
    for await (const frames of readFrames(file, { offset: BLOCK, position: segment.header.first }, false)) {
      for (const { leaf } of frames) leaves.push(leaf);
    }
    return leaves;
  } finally {
    await file?.close();
  }
}
