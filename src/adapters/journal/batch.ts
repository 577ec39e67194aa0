import type { RemitError } from '../../domain/errors.ts';
import { FRAME_HEADER_LENGTH, writeFrameHeader } from './frame.ts';
import { hashPrefixedLeaf, type TreeHash } from './merkle-tree.ts';

const INITIAL_LENGTH = 64 * 1024;
/** A buffer that one burst made larger than this is not kept. */
const KEPT_LENGTH = 4 * 1024 * 1024;

/** Frames that are written together, and who waits for them. Used again after `reset`. */
export class Batch {
  #bytes = Buffer.allocUnsafe(INITIAL_LENGTH);
  #length = 0;
  readonly #resolves: ((position: number) => void)[] = [];
  readonly #rejects: ((fault: RemitError) => void)[] = [];

  get bytes(): Buffer {
    return this.#bytes;
  }

  get length(): number {
    return this.#length;
  }

  get count(): number {
    return this.#resolves.length;
  }

  /** Copies the payload into a frame of its own and gives its leaf hash. */
  add(payload: Buffer, resolve: (position: number) => void, reject: (fault: RemitError) => void): TreeHash {
    const start = this.#length + FRAME_HEADER_LENGTH;
    const end = start + payload.length;
    if (end > this.#bytes.length) this.#grow(end);
    const bytes = this.#bytes;
    bytes.set(payload, start);
    // RFC 6962's leaf prefix in the header's last byte, before the header is written: hashed in place, without a copy.
    bytes[start - 1] = 0;
    const leaf = hashPrefixedLeaf(bytes.subarray(start - 1, end));
    writeFrameHeader(bytes, this.#length, payload);
    this.#length = end;
    this.#resolves.push(resolve);
    this.#rejects.push(reject);
    return leaf;
  }

  /** Tells everyone who waits the position, counted from `first`. */
  resolve(first: number): void {
    for (let index = 0; index < this.#resolves.length; index += 1) this.#resolves[index]?.(first + index);
    this.#reset();
  }

  reject(fault: RemitError): void {
    for (const reject of this.#rejects) reject(fault);
    this.#reset();
  }

  #reset(): void {
    this.#resolves.length = 0;
    this.#rejects.length = 0;
    this.#length = 0;
    if (this.#bytes.length > KEPT_LENGTH) this.#bytes = Buffer.allocUnsafe(INITIAL_LENGTH);
  }

  #grow(atLeast: number): void {
    const larger = Buffer.allocUnsafe(Math.max(atLeast, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}
