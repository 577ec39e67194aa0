import { open, rename, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RemitError } from '../../domain/errors.ts';
import type { Batch } from './batch.ts';
import { BLOCK, leavesFile, segmentFile } from './frame.ts';
import type { TreeHash } from './merkle-tree.ts';
import { blocksFor, SegmentFile, type SegmentFileOptions } from './segment-file.ts';
import { writeFault } from './write-watch.ts';

export interface SegmentChainOptions extends SegmentFileOptions {
  readonly folder: string;
  /** Milliseconds since 1970, for a segment's header. */
  readonly clock: () => number;
  /** Told of work beside the writing that failed; the journal goes on. */
  readonly onTrouble?: ((fault: RemitError) => void) | undefined;
  /** Told when another segment has been begun. */
  readonly onBegun?: (() => void) | undefined;
}

const LEAVES_LENGTH = 64 * 1024;

/** The segment that is written to, and the one after it. */
export class SegmentChain {
  readonly #options: SegmentChainOptions;
  #number: number;
  #current: SegmentFile;
  /** Leaf hashes of the current segment's frames, as bytes: as strings, the collector of garbage would carry them about. */
  #leaves = Buffer.allocUnsafe(LEAVES_LENGTH);
  #leavesLength = 0;
  #next: Promise<SegmentFile> | undefined;
  readonly #beside = new Set<Promise<void>>();
  /** Whether the current segment takes nothing more, whatever room it has. */
  #isEnding = false;
  #isStalled = false;
  #isClosed = false;

  constructor(options: SegmentChainOptions, number: number, current: SegmentFile, leaves: readonly TreeHash[]) {
    this.#options = options;
    this.#number = number;
    this.#current = current;
    this.#keepLeaves(leaves);
  }

  get path(): string {
    return this.#current.path;
  }

  /** Where the last durable frame of the current segment ends. */
  get length(): number {
    return this.#current.length;
  }

  get isStalled(): boolean {
    return this.#isStalled || this.#current.isStalled;
  }

  hasRoom(length: number): boolean {
    return !this.#isEnding && this.#current.hasRoom(length);
  }

  /** The next batch goes to another segment; to this one if nothing is in it yet. */
  endSegment(): void {
    this.#isEnding = this.#current.length > BLOCK;
  }

  /** Appends a batch, to the next segment if this one has no room: the batch's first frame starts at 0 of a block then. */
  append(batch: Batch, done: (fault: RemitError | undefined) => void): void {
    if (!this.hasRoom(batch.length)) {
      this.#rotate(batch, (fault) => (fault === undefined ? this.#append(batch, done) : done(fault)));
    } else {
      this.#append(batch, done);
    }
  }

  #append(batch: Batch, done: (fault: RemitError | undefined) => void): void {
    this.#keepLeaves(batch.leaves);
    if (this.#next === undefined && this.#current.isAlmostFull) this.#next = this.#prepare();
    this.#current.append(batch, done);
  }

  #keepLeaves(leaves: readonly TreeHash[]): void {
    const text = leaves.join('');
    if (this.#leavesLength + text.length > this.#leaves.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#leaves.length * 2, this.#leavesLength + text.length));
      larger.set(this.#leaves.subarray(0, this.#leavesLength));
      this.#leaves = larger;
    }
    this.#leavesLength += this.#leaves.write(text, this.#leavesLength, 'latin1');
  }

  #prepare(): Promise<SegmentFile> {
    const { folder } = this.#options;
    const made = (async () => {
      const segment = await SegmentFile.open(join(folder, segmentFile(this.#number + 1)), 0, 0, this.#options);
      await syncFolder(folder);
      return segment;
    })();
    // Awaited when it is needed: until then a failure is nobody's.
    made.catch(() => {});
    return made;
  }

  /** Begins the next segment. A disk that hangs meanwhile ends in refusals, too. */
  #rotate(batch: Batch, done: (fault: RemitError | undefined) => void): void {
    const { schedule, stallMs, clock } = this.#options;
    let isOver = false;
    const over = (fault: RemitError | undefined): void => {
      if (isOver) return;
      isOver = true;
      cancel();
      done(fault);
    };
    const cancel = schedule(stallMs, () => {
      if (isOver) return;
      this.#isStalled = true;
      over(writeFault(this.path, new Error(`no new segment for ${stallMs} ms`)));
    });
    const rotate = async (): Promise<void> => {
      const made = this.#next ?? this.#prepare();
      this.#next = undefined;
      const segment = await made;
      await segment.begin({ first: batch.first, begunAt: clock(), peaks: batch.peaks });
      if (isOver) return;
      const full = { number: this.#number, file: this.#current, leaves: this.#leaves.subarray(0, this.#leavesLength) };
      this.#number += 1;
      this.#current = segment;
      this.#isEnding = false;
      this.#leaves = Buffer.allocUnsafe(LEAVES_LENGTH);
      this.#leavesLength = 0;
      const retiring = this.#retire(full.number, full.file, full.leaves).finally(() => this.#beside.delete(retiring));
      this.#beside.add(retiring);
      this.#options.onBegun?.();
    };
    rotate().then(
      () => over(undefined),
      (cause) => over(writeFault(this.path, cause)),
    );
  }

  /** Keeps the leaf hashes of a segment that is full: with them, its frames can be removed and every proof still be made. */
  async #retire(number: number, file: SegmentFile, leaves: Buffer): Promise<void> {
    try {
      const { length } = file;
      await file.close();
      await writeLeaves(this.#options.folder, number, leaves);
      // Room for frames that will not come: one that was ended early would keep it.
      await truncate(file.path, blocksFor(length));
    } catch (cause) {
      this.#options.onTrouble?.(writeFault(file.path, cause));
    }
  }

  /** Resolves when the full segments' leaf hashes are kept, as far as that worked. */
  async settled(): Promise<void> {
    await Promise.all(this.#beside);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await Promise.all(this.#beside);
    await (await this.#next?.catch(() => undefined))?.close();
    await this.#current.close();
  }
}

/** Written beside and renamed: what is there is whole. */
export async function writeLeaves(folder: string, number: number, leaves: Buffer): Promise<void> {
  const path = join(folder, leavesFile(number));
  await writeFile(`${path}.new`, leaves, { mode: 0o600, flush: true });
  await rename(`${path}.new`, path);
  await syncFolder(folder);
}

/** Without this, a file that was made just before a power failure may be gone after it. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  await handle.sync().finally(() => handle.close());
}
