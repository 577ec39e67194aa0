import { crc32 } from 'node:zlib';
import type { TreeHash } from './merkle-tree.ts';

/**
 * Layout of a segment file. Everything is big-endian.
 *
 *     4,096 bytes  "remit-journal/2\n" · u64 position of the first frame · u64 milliseconds since 1970 when it was begun ·
 *                  u32 count · the Merkle tree so far, as the 32-byte roots of `count` perfect subtrees, widest first ·
 *                  zeros · u32 crc32 of all of it before
 *     frames       u32 length · first 4 bytes of the leaf hash, SHA-256(0x00 ‖ payload) · u32 lowest 32 bits of the position of the first frame of its
 *                  write · u32 crc32(the 12 bytes before) · payload
 *     zeros        up to the file's end: room for frames to come
 *
 * The room is there so that a write changes no metadata of the file: it is durable with one write of the disk. A frame
 * says to which write it belongs, because recovery must tell a last write that was cut short (removed) from damage to
 * something older. The header has a checksum of its own for the same reason: a changed length is damage.
 *
 * The payload's checksum is a part of its leaf hash (RFC 6962), which is made anyway.
 */
export const MAGIC = Buffer.from('remit-journal/2\n', 'latin1');
/** Length of a segment's header, and the unit of all writes: page of memory, block of most file systems. */
export const BLOCK = 4096;
export const FRAME_HEADER_LENGTH = 16;
/** Larger payloads are refused, and a length beyond it is damage. */
export const MAX_PAYLOAD = 16 * 1024 * 1024;

export const CHECKPOINT_FILE = 'checkpoints';
export const VERIFIER_FILE = 'verifier.key';
export const LOCK_FILE = 'lock';

/** Name of the segment of a number, counted from 0. */
export const segmentFile = (number: number): string => `${String(number).padStart(8, '0')}.log`;
/** The leaf hashes of a segment that is full, 32 bytes each: what is left of it when it is removed. */
export const leavesFile = (number: number): string => `${String(number).padStart(8, '0')}.leaves`;
/** In a copy of what is closed of a journal: the checkpoints over sizes that a segment reached, in place of the one file of all. */
export const notesFile = (number: number): string => `${String(number).padStart(8, '0')}.checkpoints`;

/** What a segment's first block says. */
export interface SegmentHeader {
  /** Position in the log of its first frame. */
  readonly first: number;
  /** When it was begun, milliseconds since 1970. */
  readonly begunAt: number;
  /** The tree over everything before it. */
  readonly peaks: readonly TreeHash[];
}

export function encodeSegmentHeader({ first, begunAt, peaks }: SegmentHeader): Buffer {
  const block = Buffer.alloc(BLOCK);
  MAGIC.copy(block);
  block.writeBigUInt64BE(BigInt(first), 16);
  block.writeBigUInt64BE(BigInt(begunAt), 24);
  block.writeUInt32BE(peaks.length, 32);
  block.write(peaks.join(''), 36, 'latin1');
  block.writeUInt32BE(crc32(block.subarray(0, BLOCK - 4)), BLOCK - 4);
  return block;
}

/** `unwritten` for a block of zeros or less than a block: the segment was made, and not begun. */
export function decodeSegmentHeader(block: Buffer): SegmentHeader | 'unwritten' | { readonly problem: string } {
  if (isZero(block)) return 'unwritten';
  if (!block.subarray(0, MAGIC.length).equals(MAGIC)) {
    const isOlder = block.subarray(0, 14).equals(MAGIC.subarray(0, 14));
    return {
      problem: `the file does not start with the header of a journal of version 2${isOlder ? ', but of another one' : ''}`,
    };
  }
  if (block.length < BLOCK || crc32(block.subarray(0, BLOCK - 4)) !== block.readUInt32BE(BLOCK - 4)) {
    return { problem: 'the header of the segment does not match its checksum' };
  }
  const text = block.toString('latin1', 36, 36 + block.readUInt32BE(32) * 32);
  const peaks = Array.from({ length: text.length / 32 }, (_, index) => text.slice(index * 32, index * 32 + 32));
  return { first: Number(block.readBigUInt64BE(16)), begunAt: Number(block.readBigUInt64BE(24)), peaks };
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let crc = index;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  return crc;
});

/** CRC-32 of three numbers as big-endian bytes: for so few, a call out of JavaScript costs more than the work. */
function crcOf(a: number, b: number, c: number): number {
  return (crcOn(crcOn(crcOn(0xffffffff, a), b), c) ^ 0xffffffff) >>> 0;
}

function crcOn(before: number, value: number): number {
  let crc = before;
  crc = (CRC_TABLE[(crc ^ (value >>> 24)) & 255] as number) ^ (crc >>> 8);
  crc = (CRC_TABLE[(crc ^ (value >>> 16)) & 255] as number) ^ (crc >>> 8);
  crc = (CRC_TABLE[(crc ^ (value >>> 8)) & 255] as number) ^ (crc >>> 8);
  return (CRC_TABLE[(crc ^ value) & 255] as number) ^ (crc >>> 8);
}

/** What a frame holds of its leaf hash. */
export function checksumOf(leaf: TreeHash): number {
  const [a, b, c, d] = [leaf.charCodeAt(0), leaf.charCodeAt(1), leaf.charCodeAt(2), leaf.charCodeAt(3)] as const;
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}

export function writeFrameHeader(target: Buffer, offset: number, length: number, leaf: TreeHash, batch: number): void {
  const checksum = checksumOf(leaf);
  target.writeUInt32BE(length, offset);
  target.writeUInt32BE(checksum, offset + 4);
  target.writeUInt32BE(batch, offset + 8);
  target.writeUInt32BE(crcOf(length, checksum, batch), offset + 12);
}

export interface FrameHeader {
  readonly length: number;
  readonly checksum: number;
  readonly batch: number;
}

/** What the frame header at `offset` says: undefined when its own checksum is wrong. */
export function readFrameHeader(bytes: Buffer, offset: number): FrameHeader | undefined {
  const length = bytes.readUInt32BE(offset);
  const checksum = bytes.readUInt32BE(offset + 4);
  const batch = bytes.readUInt32BE(offset + 8);
  return crcOf(length, checksum, batch) === bytes.readUInt32BE(offset + 12) ? { length, checksum, batch } : undefined;
}

const ZEROS = Buffer.alloc(64 * 1024);

export function isZero(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const part = bytes.subarray(at, at + ZEROS.length);
    if (!part.equals(ZEROS.subarray(0, part.length))) return false;
  }
  return true;
}
