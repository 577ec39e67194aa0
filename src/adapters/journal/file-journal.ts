import { RemitError } from '../../domain/errors.ts';
import type { Schedule } from '../../seams/clock.ts';
import type { JournalSegment, SegmentedJournal, SegmentRemoval } from '../../seams/journal.ts';
import type { AppendFile } from './append-file.ts';
import { Batch } from './batch.ts';
import { signCheckpoint, type TreeHead } from './checkpoint-file.ts';
import type { JournalSigner } from './ed25519-signer.ts';
import { BLOCK, MAX_PAYLOAD } from './frame.ts';
import { readPayloads } from './journal-reader.ts';
import { MerkleTree } from './merkle-tree.ts';
import { keptSegments, removeSegments } from './remove-segments.ts';
import { type SegmentChain, syncFolder } from './segment-chain.ts';
import type { Verifier } from './signed-note.ts';
import { putInPlace, type ThinnedCheckpoints, thinCheckpoints } from './thin-checkpoints.ts';
import { writeFault } from './write-watch.ts';

/** What `openFileJournal` has found and opened. */
export interface JournalParts {
  readonly folder: string;
  readonly chain: SegmentChain;
  readonly checkpoints: AppendFile;
  /** Opens what has taken the place of that file. */
  readonly reopenCheckpoints: () => Promise<AppendFile>;
  /** Checkpoints are not thinned before there are so many bytes of them, */
  readonly thinFrom: number;
  readonly tree: MerkleTree;
  /** Size of the newest stored tree head. */
  readonly signedSize: number;
  readonly verifier: Verifier;
  readonly signer: JournalSigner;
  readonly checkpointEvery: number;
  readonly checkpointMs: number;
  readonly schedule: Schedule;
  readonly unlock: () => void;
  /** Told the text of each new checkpoint, once it is stored. */
  readonly onCheckpoint?: ((note: string, size: number) => void) | undefined;
}

interface WantedHead extends TreeHead {
  /** To be signed itself, not only a newer one. */
  readonly isKept?: boolean;
  readonly resolve: () => void;
  readonly reject: (fault: RemitError) => void;
}

/**
 * A write costs as much CPU as a call, whatever its length. So before one, every socket that is ready is read: a batch waits for the next
 * turn of the event loop as long as each turn adds to it. No timer, and no time lost: a turn without anything new is over at once.
 */
const MOST_TURNS = 16;
const FULL_BATCH = 256;

/** What nobody waits for is written within twice this time. */
const LATER_MS = 10;

const ignore = (): void => {};

/**
 * Appends to a chain of segment files. One batch is being written at a time while the next one fills; there is no timer on the
 * path of what somebody waits for. The first fault is the last: everyone who waits and everyone who comes later is told it. A rejected append may
 * still be found in the log after a restart, an acknowledged one always is.
 */
export class FileJournal implements SegmentedJournal {
  readonly #parts: JournalParts;
  readonly #tree: MerkleTree;
  #filling = new Batch();
  #inFlight = new Batch();
  /** From the first append of a burst until nothing is left to write. */
  #isWriting = false;
  /** Whether somebody waits for what the filling batch holds. */
  #isWanted = false;
  /** Turns of the event loop that the next batch has been filling for, and who waited for it at the last one. */
  #turns = 0;
  #gathered = 0;
  /** How many waited for the last batch: after one, the next is not gathered for either. */
  #lastWaiting = 0;
  /** Batches that were filled so far. */
  #filled = 0;
  #cancelLater: (() => void) | undefined;
  #cancelSigning: (() => void) | undefined;
  #durableSize: number;
  #fault: RemitError | undefined;
  /** Size of the newest head that is stored, and of the newest that was asked for. */
  #signedSize: number;
  #wantedSize: number;
  #wantedHeads: WantedHead[] = [];
  #isSigning = false;
  /** Is done when no head is being signed, and none is until it is. */
  #betweenHeads: (() => Promise<void>) | undefined;
  #checkpoints: AppendFile;
  /** and half as many again as the last time. */
  #thinFrom: number;
  #closing: Promise<void> | undefined;
  #whenIdle: (() => void) | undefined;

  constructor(parts: JournalParts) {
    this.#parts = parts;
    this.#tree = parts.tree;
    this.#checkpoints = parts.checkpoints;
    this.#thinFrom = parts.thinFrom;
    this.#durableSize = parts.tree.size;
    this.#signedSize = parts.signedSize;
    this.#wantedSize = parts.signedSize;
    this.#filling.begin(parts.tree.size, parts.chain.length % BLOCK, parts.tree.peaks());
  }

  get size(): number {
    return this.#tree.size;
  }

  append(payload: Buffer | string): Promise<number> {
    return new Promise((resolve, reject) => {
      const refusal = this.#refusal(payload);
      if (refusal !== undefined) return reject(refusal);
      this.#tree.append(this.#filling.add(payload));
      this.#filling.wait({ resolve, reject });
      this.#flush();
    });
  }

  appendLater(payload: Buffer | string, onFault: (fault: RemitError) => void): void {
    const refusal = this.#refusal(payload);
    if (refusal !== undefined) {
      onFault(refusal);
      return;
    }
    this.#tree.append(this.#filling.add(payload));
    this.#filling.onFault(onFault);
    // One coarse timer for all: what has just missed one waits for the next.
    if (this.#cancelLater === undefined) this.#flushLater();
  }

  #refusal(payload: Buffer | string): RemitError | undefined {
    if (this.#fault !== undefined) return this.#fault;
    const where = this.#parts.chain.path;
    if (this.#closing !== undefined) return new RemitError('ERR_JOURNAL_FAILED', 'the journal is closed', { where });
    if (payload.length <= MAX_PAYLOAD / 3) return undefined;
    const length = Buffer.byteLength(payload);
    if (length <= MAX_PAYLOAD) return undefined;
    return new RemitError('ERR_JOURNAL_FAILED', `a record of ${length} bytes is over the limit of ${MAX_PAYLOAD}`, {
      where,
    });
  }

  #flush(): void {
    this.#isWanted = true;
    if (this.#isWriting) return;
    this.#isWriting = true;
    // One caller after the other: nothing to wait for, and a turn of the event loop would be time lost.
    if (this.#lastWaiting <= 1) queueMicrotask(this.#writeNext);
    else this.#gather();
  }

  /** Lets a batch fill while calls keep coming: with one call there is nothing to wait for, with many all share one write. */
  #gather(): void {
    this.#gathered = 0;
    this.#turns = 0;
    setImmediate(this.#gatherOn);
  }

  readonly #gatherOn = (): void => {
    const { waiting } = this.#filling;
    this.#turns += 1;
    if (waiting <= 1 || waiting === this.#gathered || waiting >= FULL_BATCH || this.#turns > MOST_TURNS) {
      this.#writeNext();
    } else {
      this.#gathered = waiting;
      setImmediate(this.#gatherOn);
    }
  };

  #flushLater(): void {
    const { schedule } = this.#parts;
    const batch = this.#filled;
    this.#cancelLater = schedule(LATER_MS, () => {
      this.#cancelLater = undefined;
      if (this.#fault !== undefined || this.#filling.count === 0) return;
      // The batch of back then has been written with somebody's: this one is younger than the timer.
      if (batch === this.#filled) this.#flush();
      else this.#flushLater();
    });
  }

  readonly #writeNext = (): void => {
    this.#isWriting = this.#fault === undefined && this.#isWanted && this.#filling.count > 0;
    if (!this.#isWriting) {
      this.#settleIfIdle();
      return;
    }
    this.#isWanted = false;
    const batch = this.#filling;
    this.#filling = this.#inFlight;
    this.#inFlight = batch;
    this.#filled += 1;
    this.#lastWaiting = batch.waiting;
    const { chain } = this.#parts;
    if (!chain.hasRoom(batch.length)) {
      batch.moveTo(0);
      // The next start takes the tree from this segment's header: a signature says that it is the right one.
      const root = new MerkleTree(batch.first, batch.peaks).root();
      this.#wantedHeads.unshift({ size: batch.first, root, isKept: true, resolve: ignore, reject: ignore });
    }
    this.#filling.begin(this.#tree.size, batch.end % BLOCK, this.#tree.peaks());
    if (this.#tree.size - this.#wantedSize >= this.#parts.checkpointEvery) this.#wantHead(ignore, ignore);
    chain.append(batch, this.#onWritten);
  };

  readonly #onWritten = (fault: RemitError | undefined): void => {
    if (fault !== undefined) this.#fail(fault);
    if (this.#fault === undefined) {
      this.#durableSize += this.#inFlight.count;
      this.#inFlight.settle();
      if (this.#wantedHeads.length > 0) this.#signHeads();
      if (this.#cancelSigning === undefined && this.#wantedSize < this.#durableSize) this.#signLater();
    }
    if (this.#isWanted && this.#fault === undefined && this.#lastWaiting > 1) this.#gather();
    else this.#writeNext();
  };

  /** Nothing stays without a signature for long, however little is written. */
  #signLater(): void {
    const { schedule, checkpointMs } = this.#parts;
    this.#cancelSigning = schedule(checkpointMs, () => {
      this.#cancelSigning = undefined;
      if (this.#fault !== undefined || this.#closing !== undefined || this.#wantedSize >= this.#durableSize) return;
      this.#signTree().catch(ignore);
    });
  }

  #fail(fault: RemitError): void {
    this.#fault ??= fault;
    this.#cancelLater?.();
    this.#cancelSigning?.();
    for (const batch of [this.#inFlight, this.#filling]) batch.reject(this.#fault);
    for (const head of this.#wantedHeads.splice(0)) head.reject(this.#fault);
  }

  checkpoint(): Promise<void> {
    const refusal = this.#refusal('');
    return refusal === undefined ? this.#signTree() : Promise.reject(refusal);
  }

  #signTree(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#wantHead(resolve, reject);
      if (this.#filling.count > 0) this.#flush();
      this.#signHeads();
    });
  }

  /** Takes the tree head as it is now, to be signed when everything under it is durable. */
  #wantHead(resolve: () => void, reject: (fault: RemitError) => void): void {
    this.#wantedSize = this.#tree.size;
    this.#wantedHeads.push({ size: this.#tree.size, root: this.#tree.root(), resolve, reject });
  }

  /** Signs the newest durable head: one at a time, beside the writing of batches, which does not wait for it. */
  #signHeads(): void {
    if (this.#isSigning) return;
    const between = this.#betweenHeads;
    if (between !== undefined) {
      this.#betweenHeads = undefined;
      this.#isSigning = true;
      void between().finally(() => {
        this.#isSigning = false;
        this.#signHeads();
        this.#settleIfIdle();
      });
      return;
    }
    const kept = this.#wantedHeads.find((head) => head.isKept === true);
    const limit = kept?.size ?? this.#durableSize;
    const ready = this.#wantedHeads.filter((head) => head.size <= limit);
    const newest = kept ?? ready.at(-1);
    if (newest === undefined) return;
    this.#wantedHeads = this.#wantedHeads.filter((head) => head.size > limit);
    this.#isSigning = true;
    const settle = (fault: RemitError | undefined): void => {
      this.#isSigning = false;
      for (const head of ready) {
        if (fault === undefined) head.resolve();
        else head.reject(fault);
      }
      if (fault !== undefined) this.#fail(fault);
      this.#signHeads();
      this.#settleIfIdle();
    };
    if (newest.size <= this.#signedSize) {
      settle(undefined);
      return;
    }
    const note = signCheckpoint(newest, this.#parts.verifier, this.#parts.signer);
    this.#checkpoints.append(Buffer.from(note, 'latin1'), (fault) => {
      if (fault === undefined) {
        this.#signedSize = newest.size;
        this.#parts.onCheckpoint?.(note, newest.size);
      }
      settle(fault);
    });
  }

  read(from: number): AsyncIterable<{ position: number; payload: Buffer }> {
    return readPayloads(this.#parts.folder, from, { until: this.#durableSize });
  }

  segments(): Promise<readonly JournalSegment[]> {
    return keptSegments(this.#parts.folder, this.#durableSize);
  }

  endSegment(): void {
    this.#parts.chain.endSegment();
  }

  async removeBefore(
    position: number,
    announce: (removal: SegmentRemoval) => Promise<unknown>,
  ): Promise<SegmentRemoval | undefined> {
    const { folder, chain } = this.#parts;
    await chain.settled();
    return removeSegments(folder, Math.min(position, this.#signedSize), async (removal) => {
      await announce(removal);
      // That it was announced is under a signature before anything is gone.
      await this.checkpoint();
    });
  }

  async thinCheckpoints(before: number): Promise<number> {
    const refusal = this.#refusal('');
    if (refusal !== undefined) throw refusal;
    const { length } = this.#checkpoints;
    if (length < this.#thinFrom) return 0;
    const { folder, verifier, thinFrom } = this.#parts;
    const thinned = await thinCheckpoints(folder, verifier, { before: Math.min(before, this.#signedSize), length });
    this.#thinFrom = thinFrom + 1.5 * (thinned?.length ?? length);
    if (thinned === undefined) return 0;
    await new Promise<void>((resolve, reject) => {
      this.#betweenHeads = () => this.#replaceCheckpoints(thinned).then(resolve, reject);
      this.#signHeads();
    });
    return thinned.dropped;
  }

  async #replaceCheckpoints(thinned: ThinnedCheckpoints): Promise<void> {
    if (this.#fault !== undefined || this.#closing !== undefined) return;
    const old = this.#checkpoints;
    await putInPlace(this.#parts.folder, thinned, old.length);
    try {
      await syncFolder(this.#parts.folder);
      this.#checkpoints = await this.#parts.reopenCheckpoints();
      await old.close();
    } catch (cause) {
      // What would be appended now went to a file without a name.
      const fault = writeFault(old.path, cause);
      this.#fail(fault);
      throw fault;
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { chain, unlock } = this.#parts;
    try {
      if (this.#fault === undefined) await this.#signTree();
    } finally {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
        this.#settleIfIdle();
      });
      this.#cancelLater?.();
      this.#cancelSigning?.();
      await Promise.all([chain.close(), this.#checkpoints.close()]);
      // A write that hangs may still reach its file: then the lock goes only with the process.
      if (!chain.isStalled && !this.#checkpoints.isStalled) unlock();
    }
  }

  #settleIfIdle(): void {
    if (!this.#isWriting && !this.#isSigning) this.#whenIdle?.();
  }
}
