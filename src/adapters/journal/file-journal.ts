import { RemitError } from '../../domain/errors.ts';
import type { Journal } from '../../seams/journal.ts';
import type { AppendFile } from './append-file.ts';
import { Batch } from './batch.ts';
import { signCheckpoint, type TreeHead } from './checkpoint-file.ts';
import type { JournalSigner } from './ed25519-signer.ts';
import { MAX_PAYLOAD } from './frame.ts';
import { readPayloads } from './journal-reader.ts';
import type { MerkleTree } from './merkle-tree.ts';
import { OFFSET_STEP } from './scan-journal.ts';
import type { Verifier } from './signed-note.ts';

/** What `openFileJournal` has found and opened. */
export interface JournalParts {
  readonly log: AppendFile;
  readonly checkpoints: AppendFile;
  readonly tree: MerkleTree;
  /** Size of the newest stored tree head. */
  readonly signedSize: number;
  readonly offsets: number[];
  readonly verifier: Verifier;
  readonly signer: JournalSigner;
  readonly checkpointEvery: number;
  readonly unlock: () => void;
}

interface WantedHead extends TreeHead {
  readonly resolve: () => void;
  readonly reject: (fault: RemitError) => void;
}

const ignore = (): void => {};

/**
 * Appends to one segment file. One batch is being written at a time while the next one fills; there is no timer on that
 * path. The first fault is the last: everyone who waits and everyone who comes later is told it. A rejected append may
 * still be found in the log after a restart, an acknowledged one always is.
 */
export class FileJournal implements Journal {
  readonly #parts: JournalParts;
  readonly #tree: MerkleTree;
  #filling = new Batch();
  #inFlight = new Batch();
  /** From the first append of a burst until nothing is left to write. */
  #isWriting = false;
  #durableSize: number;
  #fault: RemitError | undefined;
  /** Size of the newest head that is stored, and of the newest that was asked for. */
  #signedSize: number;
  #wantedSize: number;
  #wantedHeads: WantedHead[] = [];
  #isSigning = false;
  #closing: Promise<void> | undefined;
  #whenIdle: (() => void) | undefined;

  constructor(parts: JournalParts) {
    this.#parts = parts;
    this.#tree = parts.tree;
    this.#durableSize = parts.tree.size;
    this.#signedSize = parts.signedSize;
    this.#wantedSize = parts.signedSize;
  }

  get size(): number {
    return this.#tree.size;
  }

  append(payload: Buffer): Promise<number> {
    return new Promise((resolve, reject) => {
      const refusal = this.#refusal(payload.length);
      if (refusal !== undefined) return reject(refusal);
      const batch = this.#filling;
      if (this.#tree.size % OFFSET_STEP === 0) {
        this.#parts.offsets.push(this.#parts.log.length + this.#inFlight.length + batch.length);
      }
      this.#tree.append(batch.add(payload, resolve, reject));
      if (this.#isWriting) return;
      this.#isWriting = true;
      // After the current synchronous burst, so that its appends share one write.
      queueMicrotask(() => this.#writeNext());
    });
  }

  #refusal(length: number): RemitError | undefined {
    if (this.#fault !== undefined) return this.#fault;
    const where = this.#parts.log.path;
    if (this.#closing !== undefined) return new RemitError('ERR_JOURNAL_FAILED', 'the journal is closed', { where });
    if (length <= MAX_PAYLOAD) return undefined;
    return new RemitError('ERR_JOURNAL_FAILED', `a record of ${length} bytes is over the limit of ${MAX_PAYLOAD}`, {
      where,
    });
  }

  #writeNext(): void {
    this.#isWriting = this.#fault === undefined && this.#filling.count > 0;
    if (!this.#isWriting) {
      this.#settleIfIdle();
      return;
    }
    const batch = this.#filling;
    this.#filling = this.#inFlight;
    this.#inFlight = batch;
    if (this.#tree.size - this.#wantedSize >= this.#parts.checkpointEvery) this.#wantHead(ignore, ignore);
    this.#parts.log.append(batch.bytes, batch.length, (fault) => {
      if (fault !== undefined) this.#fail(fault);
      if (this.#fault === undefined) {
        const first = this.#durableSize;
        this.#durableSize += batch.count;
        batch.resolve(first);
        if (this.#wantedHeads.length > 0) this.#signHeads();
      }
      this.#writeNext();
    });
  }

  #fail(fault: RemitError): void {
    this.#fault ??= fault;
    for (const batch of [this.#inFlight, this.#filling]) batch.reject(this.#fault);
    for (const head of this.#wantedHeads.splice(0)) head.reject(this.#fault);
  }

  checkpoint(): Promise<void> {
    const refusal = this.#refusal(0);
    return refusal === undefined ? this.#signTree() : Promise.reject(refusal);
  }

  #signTree(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#wantHead(resolve, reject);
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
    const ready = this.#wantedHeads.filter((head) => head.size <= this.#durableSize);
    const newest = ready.at(-1);
    if (newest === undefined || this.#isSigning) return;
    this.#wantedHeads.splice(0, ready.length);
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
    const note = Buffer.from(signCheckpoint(newest, this.#parts.verifier, this.#parts.signer), 'latin1');
    this.#parts.checkpoints.append(note, note.length, (fault) => {
      if (fault === undefined) this.#signedSize = newest.size;
      settle(fault);
    });
  }

  read(from: number): AsyncIterable<{ position: number; payload: Buffer }> {
    const { log, offsets } = this.#parts;
    const step = Math.floor(Math.max(0, from) / OFFSET_STEP);
    const offset = offsets[step];
    if (from >= this.#durableSize || offset === undefined) return readPayloads(log.path, undefined, from, 0);
    return readPayloads(log.path, { offset, position: step * OFFSET_STEP }, from, log.length);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { log, checkpoints, unlock } = this.#parts;
    try {
      if (this.#fault === undefined) await this.#signTree();
    } finally {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
        this.#settleIfIdle();
      });
      await Promise.all([log.close(), checkpoints.close()]);
      // A write that hangs may still reach its file: then the lock goes only with the process.
      if (!log.isStalled && !checkpoints.isStalled) unlock();
    }
  }

  #settleIfIdle(): void {
    if (!this.#isWriting && !this.#isSigning) this.#whenIdle?.();
  }
}
