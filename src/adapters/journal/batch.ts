import type { RemitError } from '../../domain/errors.ts';
import { alignedBuffer } from './aligned-memory.ts';
import { BLOCK, FRAME_HEADER_LENGTH, writeFrameHeader } from './frame.ts';
import { hashPrefixedLeaf, type TreeHash } from './merkle-tree.ts';

const INITIAL_LENGTH = 256 * 1024;
/** A buffer that one burst made larger than this is not kept. */
const KEPT_LENGTH = 4 * 1024 * 1024;
/** UTF-8 of one UTF-16 unit is at most so long. */
const UTF8_PER_UNIT = 3;

/** Who waits for a payload, and which it is within the batch. */
export interface Waiter {
  readonly resolve: (position: number) => void;
  readonly reject: (fault: RemitError) => void;
}

/**
 * Frames that are written together, and who is told. They lie in memory as they will lie in the file's blocks: the first
 * one starts at `start`, and in front of it is room for what the file's last block holds already.
 */
export class Batch {
  #bytes = alignedBuffer(INITIAL_LENGTH);
  #start = 0;
  #end = 0;
  #first = 0;
  #peaks: readonly TreeHash[] = [];
  readonly #leaves: TreeHash[] = [];
  readonly #waiters: Waiter[] = [];
  /** Position in the batch of what each waiter waits for. */
  readonly #places: number[] = [];
  /** Told of a fault only; the same few functions for all payloads that nobody waits for. */
  readonly #onFaults = new Set<(fault: RemitError) => void>();

  /** An empty batch, whose first frame will have this position, at this byte of a block, behind this tree. */
  begin(first: number, start: number, peaks: readonly TreeHash[]): void {
    this.#first = first;
    this.#start = start;
    this.#end = start;
    this.#peaks = peaks;
  }

  get bytes(): Buffer {
    return this.#bytes;
  }

  /** Where the first frame starts, and the last one ends, in `bytes`. */
  get start(): number {
    return this.#start;
  }

  get end(): number {
    return this.#end;
  }

  get length(): number {
    return this.#end - this.#start;
  }

  get count(): number {
    return this.#leaves.length;
  }

  /** Position of the first frame, and the tree before it. */
  get first(): number {
    return this.#first;
  }

  get peaks(): readonly TreeHash[] {
    return this.#peaks;
  }

  get leaves(): readonly TreeHash[] {
    return this.#leaves;
  }

  /** How many are waited for. */
  get waiting(): number {
    return this.#waiters.length;
  }

  /** Puts the payload into a frame of its own and gives its leaf hash. */
  add(payload: Buffer | string): TreeHash {
    const start = this.#end + FRAME_HEADER_LENGTH;
    const end = start + this.#put(payload, start);
    // RFC 6962's leaf prefix in the header's last byte, before the header is written: hashed in place, without a copy.
    this.#bytes[start - 1] = 0;
    const leaf = hashPrefixedLeaf(this.#bytes.subarray(start - 1, end));
    writeFrameHeader(this.#bytes, this.#end, end - start, leaf, this.#first % 0x1_0000_0000);
    this.#end = end;
    this.#leaves.push(leaf);
    return leaf;
  }

  /** Moves the frames to another byte of a block: the batch goes to another segment than was thought. */
  moveTo(start: number): void {
    if (start > this.#start) this.#reserve(this.#end + start - this.#start);
    this.#bytes.copyWithin(start, this.#start, this.#end);
    this.#end += start - this.#start;
    this.#start = start;
  }

  /** Fills the blocks: with what the first one holds already, and zeros behind the last frame. @returns their length */
  fillBlocks(held: Buffer): number {
    const length = Math.ceil(this.#end / BLOCK) * BLOCK;
    this.#reserve(length);
    this.#bytes.set(held.subarray(0, this.#start), 0);
    this.#bytes.fill(0, this.#end, length);
    return length;
  }

  /** For the payload that was added last. */
  wait(waiter: Waiter): void {
    this.#waiters.push(waiter);
    this.#places.push(this.#leaves.length - 1);
  }

  /** For the payload that was added last. */
  onFault(tell: (fault: RemitError) => void): void {
    this.#onFaults.add(tell);
  }

  /** Tells everyone who waits the position. */
  settle(): void {
    for (let index = 0; index < this.#waiters.length; index += 1) {
      this.#waiters[index]?.resolve(this.#first + (this.#places[index] as number));
    }
    this.#reset();
  }

  reject(fault: RemitError): void {
    for (const waiter of this.#waiters) waiter.reject(fault);
    for (const tell of this.#onFaults) tell(fault);
    this.#reset();
  }

  #put(payload: Buffer | string, start: number): number {
    if (typeof payload !== 'string') {
      this.#reserve(start + payload.length);
      this.#bytes.set(payload, start);
      return payload.length;
    }
    this.#reserve(start + payload.length * UTF8_PER_UNIT);
    return this.#bytes.write(payload, start, 'utf8');
  }

  #reset(): void {
    this.#leaves.length = 0;
    this.#waiters.length = 0;
    this.#places.length = 0;
    this.#onFaults.clear();
    this.#end = this.#start;
    if (this.#bytes.length > KEPT_LENGTH) this.#bytes = alignedBuffer(INITIAL_LENGTH);
  }

  #reserve(length: number): void {
    if (length <= this.#bytes.length) return;
    const larger = alignedBuffer(Math.max(length, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#end));
    this.#bytes = larger;
  }
}
