const CR = 13;
const LF = 10;
const MOST_DIGITS = 8;

/** What came of a piece of a body: `more` is to come, it has its `end`, a chunk is `odd` and not read, or it is `broken`. */
export type ChunksRead = 'more' | 'end' | 'odd' | 'broken';

/** Finds where a body ends. */
export interface BodyReader {
  /** Once it is no more to come: what has not been read of the piece that was given last. */
  readonly rest: Buffer;
  /** @param take given the bytes of the body, piece by piece as they come; false to stop for good */
  read(piece: Buffer, take: (bytes: Buffer) => boolean): ChunksRead;
}

/**
 * Reads a body in chunks (RFC 9112 §7.1), if they are as servers write them: a size in digits, no extension, and nothing behind the last one.
 * A chunk that is otherwise is not begun: whoever can read it has it from its first byte on.
 */
export class ChunkReader implements BodyReader {
  /** With what was kept of the pieces before. */
  rest: Buffer = NOTHING;
  /** Of the chunk that is being read, bytes still to come. */
  #left = 0;
  #isWithin = false;
  #kept: Buffer | undefined;

  /** @param take never given bytes of two chunks at once */
  read(piece: Buffer, take: (bytes: Buffer) => boolean): ChunksRead {
    const bytes = this.#kept === undefined ? piece : Buffer.concat([this.#kept, piece]);
    this.#kept = undefined;
    let at = 0;
    for (;;) {
      if (this.#left > 0) {
        const to = Math.min(at + this.#left, bytes.length);
        this.#left -= to - at;
        if (to > at && !take(bytes.subarray(at, to))) return 'more';
        at = to;
        if (this.#left > 0) return 'more';
      }
      if (this.#isWithin) {
        if (bytes.length < at + 2) return this.#keep(bytes, at);
        if (bytes[at] !== CR || bytes[at + 1] !== LF) return 'broken';
        at += 2;
        this.#isWithin = false;
      }
      const end = endOfSize(bytes, at);
      if (end === -1 || (end !== 0 && bytes[end] !== CR)) return this.#stop(bytes, at, 'odd');
      if (end === 0 || bytes.length < end + 2) return this.#keep(bytes, at);
      if (bytes[end + 1] !== LF) return this.#stop(bytes, at, 'odd');
      const size = sizeIn(bytes, at, end);
      if (size === 0) {
        if (bytes.length < end + 4) return this.#keep(bytes, at);
        if (bytes[end + 2] !== CR || bytes[end + 3] !== LF) return this.#stop(bytes, at, 'odd');
        return this.#stop(bytes, end + 4, 'end');
      }
      this.#left = size;
      this.#isWithin = true;
      at = end + 2;
    }
  }

  #keep(bytes: Buffer, at: number): 'more' {
    if (at < bytes.length) this.#kept = Buffer.from(bytes.subarray(at));
    return 'more';
  }

  #stop(bytes: Buffer, at: number, read: ChunksRead): ChunksRead {
    this.rest = bytes.subarray(at);
    return read;
  }
}

const NOTHING = Buffer.alloc(0);

/** @returns where the digits end; 0 where more may come, −1 where there are none or too many */
function endOfSize(bytes: Buffer, from: number): number {
  let at = from;
  while (at < bytes.length && at - from <= MOST_DIGITS && digitOf(bytes[at] as number) !== -1) at += 1;
  if (at - from > MOST_DIGITS) return -1;
  if (at === bytes.length) return 0;
  return at === from ? -1 : at;
}

function sizeIn(bytes: Buffer, from: number, to: number): number {
  let size = 0;
  for (let at = from; at < to; at += 1) size = size * 16 + digitOf(bytes[at] as number);
  return size;
}

function digitOf(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const letter = byte | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}
