import { type FileHandle, open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { leavesFile, type SegmentHeader, segmentFile } from './frame.ts';
import { readFault, readSegmentHeader } from './frame-reader.ts';
import type { TreeHash } from './merkle-tree.ts';

/** A segment as its files say: of one that was removed, the leaf hashes are left. */
export interface Segment {
  readonly number: number;
  readonly path: string;
  readonly hasFrames: boolean;
  /** Left out for one that was removed. */
  readonly header?: SegmentHeader;
}

/** What there is in a folder, in order; `next` is one that was made ahead and not begun. Numbers that are missing are given. */
export interface Segments {
  readonly begun: readonly Segment[];
  readonly next: Segment | undefined;
  /** Paths of segments of which nothing is left. */
  readonly missing: readonly string[];
}

/** @throws FrameDamage (a header), `ERR_JOURNAL_FAILED` (unreadable); no segments for a folder that is not there */
export async function listSegments(folder: string): Promise<Segments> {
  const names = new Set(await readdir(folder).catch(whenMissing(folder, [] as string[])));
  const numbers = [...names].flatMap((name) => {
    const [, digits] = /^([0-9]{8,})\.(?:log|leaves)$/.exec(name) ?? [];
    return digits === undefined ? [] : [Number(digits)];
  });
  const count = numbers.length === 0 ? 0 : Math.max(...numbers) + 1;
  const begun: Segment[] = [];
  const missing: string[] = [];
  let next: Segment | undefined;
  for (let number = 0; number < count; number += 1) {
    const path = join(folder, segmentFile(number));
    const hasFrames = names.has(segmentFile(number));
    if (!hasFrames) {
      if (names.has(leavesFile(number))) begun.push({ number, path, hasFrames });
      else missing.push(path);
      continue;
    }
    const header = await headerOf(path);
    if (header === undefined) {
      // Removed since the folder was listed: its leaf hashes were there before.
      begun.push({ number, path, hasFrames: false });
      continue;
    }
    if (header !== 'unwritten') begun.push({ number, path, hasFrames, header });
    else if (number === count - 1) next = { number, path, hasFrames };
    else missing.push(path);
  }
  return { begun, next, missing };
}

async function headerOf(path: string): Promise<SegmentHeader | 'unwritten' | undefined> {
  const file = await open(path, 'r').catch(whenMissing(path, undefined));
  try {
    return file && (await readSegmentHeader(file, path));
  } finally {
    await file?.close();
  }
}

/** Leaf hashes of a segment that is full. Undefined without its file; a length that cannot be is `null`. */
export async function readLeaves(folder: string, number: number): Promise<TreeHash[] | null | undefined> {
  const path = join(folder, leavesFile(number));
  const bytes = await readFile(path).catch(whenMissing(path, undefined));
  if (bytes === undefined) return undefined;
  if (bytes.length % 32 !== 0) return null;
  const text = bytes.toString('latin1');
  return Array.from({ length: text.length / 32 }, (_, index) => text.slice(index * 32, index * 32 + 32));
}

/** A segment's frames, to be closed; undefined when they were removed, and its leaf hashes are what is left. */
export async function openFrames(folder: string, segment: Segment): Promise<FileHandle | undefined> {
  if (!segment.hasFrames) return undefined;
  return await open(segment.path, 'r').catch(async (cause) => {
    const isRemoved = cause.code === 'ENOENT' && (await readIfThere(join(folder, leavesFile(segment.number))));
    if (isRemoved) return undefined;
    throw readFault(segment.path, cause);
  });
}

export async function readIfThere(path: string): Promise<Buffer | undefined> {
  return await readFile(path).catch(whenMissing(path, undefined));
}

function whenMissing<T>(path: string, otherwise: T): (cause: NodeJS.ErrnoException) => T {
  return (cause) => {
    if (cause.code === 'ENOENT') return otherwise;
    throw readFault(path, cause);
  };
}
