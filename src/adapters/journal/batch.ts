import type { RemitError } from '../../domain/errors.ts';
import { FRAME_HEADER_LENGTH, writeFrameHeader } from './frame.ts';
import { hashPrefixedLeaf, type TreeHash } from './merkle-tree.ts';

const INITIAL_LENGTH = 64 * 1024;
/** A buffer that one burst made larger than this is not kept. */
const KEPT_LENGTH = 4 * 1024 * 1024;
/** UTF-8 of one UTF-16 unit is at most so long. */
const UTF8_PER_UNIT = 3;

/** Who waits for a payload, and which it is within the batch. */
export interface Waiter {
  readonly resolve: (position: number) => void;
  readonly reject: (fault: RemitError) => void;
}

/** Frames that are written together, and who is told. Used again after `settle` or `reject`. */
export class Batch {
  #bytes = Buffer.allocUnsafe(INITIAL_LENGTH);
  #length = 0;
  #count = 0;
  readonly #waiters: Waiter[] = [];
  /** Position in the batch of what each waiter waits for. */
  readonly #places: number[] = [];
  /** Told of a fault only; the same few functions for all payloads that nobody waits for. */
  readonly #onFaults = new Set<(fault: RemitError) => void>();

  get bytes(): Buffer {
    return this.#bytes;
  }

  get length(): number {
    return this.#length;
  }

  get count(): number {
    return this.#count;
  }

  /** How many are waited for. */
  get waiting(): number {
    return this.#waiters.length;
  }

  /** Puts the payload into a frame of its own and gives its leaf hash. */
  add(payload: Buffer | string): TreeHash {
    const start = this.#length + FRAME_HEADER_LENGTH;
    const end = start + this.#put(payload, start);
    const bytes = this.#bytes;
    // RFC 6962's leaf prefix in the header's last byte, before the header is written: hashed in place, without a copy.
    bytes[start - 1] = 0;
    const leaf = hashPrefixedLeaf(bytes.subarray(start - 1, end));
    writeFrameHeader(bytes, this.#length, bytes.subarray(start, end));
    this.#length = end;
    this.#count += 1;
    return leaf;
  }

  /** For the payload that was added last. */
  wait(waiter: Waiter): void {
    this.#waiters.push(waiter);
    this.#places.push(this.#count - 1);
  }

  /** For the payload that was added last. */
  onFault(tell: (fault: RemitError) => void): void {
    this.#onFaults.add(tell);
  }

  /** Tells everyone who waits the position, counted from `first`. */
  settle(first: number): void {
    for (let index = 0; index < this.#waiters.length; index += 1) {
      this.#waiters[index]?.resolve(first + (this.#places[index] as number));
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
    this.#waiters.length = 0;
    this.#places.length = 0;
    this.#onFaults.clear();
    this.#length = 0;
    this.#count = 0;
    if (this.#bytes.length > KEPT_LENGTH) this.#bytes = Buffer.allocUnsafe(INITIAL_LENGTH);
  }

  #reserve(length: number): void {
    if (length <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(length, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}
