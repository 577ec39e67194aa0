import type { BodyReader, ChunksRead } from './chunk-reader.ts';

/** Reads a body of a known length (RFC 9112 §6.2). */
export class LengthReader implements BodyReader {
  rest: Buffer = NOTHING;
  #left: number;

  /** @param length in bytes */
  constructor(length: number) {
    this.#left = length;
  }

  read(piece: Buffer, take: (bytes: Buffer) => boolean): ChunksRead {
    const bytes = piece.length > this.#left ? piece.subarray(0, this.#left) : piece;
    this.#left -= bytes.length;
    if (!take(bytes) || this.#left > 0) return 'more';
    this.rest = piece.subarray(bytes.length);
    return 'end';
  }
}

const NOTHING = Buffer.alloc(0);
