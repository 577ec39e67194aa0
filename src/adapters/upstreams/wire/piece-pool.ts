import { notePassed } from '../passed-bytes.ts';

/** As much as is read at once. Bytes. */
const SIZE = 64 * 1024;
/** A smaller piece is not worth a buffer of that size. */
const LEAST = 8 * 1024;
const MOST_FREE = 64;

const free: Buffer[] = [];
/** By what they share their bytes with: those that somebody has. */
const lent = new WeakMap<ArrayBufferLike, Buffer>();

/**
 * A copy of bytes that have been read, in a buffer that is used again once it is given back. One that is not given back is collected like any
 * other; but what has been a while in many hands gets among V8's old objects, of which some 50 MiB gather before they are.
 * @param bytes at most 64 KiB
 */
export function lendPiece(bytes: Buffer): Buffer {
  if (bytes.length < LEAST || bytes.length > SIZE) {
    notePassed(bytes.length);
    return Buffer.from(bytes);
  }
  const whole = free.pop() ?? Buffer.allocUnsafeSlow(SIZE);
  lent.set(whole.buffer, whole);
  bytes.copy(whole);
  return whole.subarray(0, bytes.length);
}

/** @param piece lent, or a part of such a one: nobody reads any of it any more. Of anything else nothing becomes, nor of one given back before. */
export function releasePiece(piece: Buffer): void {
  const whole = lent.get(piece.buffer);
  if (whole === undefined) return;
  lent.delete(piece.buffer);
  if (free.length < MOST_FREE) free.push(whole);
}
