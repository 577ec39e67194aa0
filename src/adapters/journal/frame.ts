import { crc32 } from 'node:zlib';

/**
 * Layout of a segment file. Everything is big-endian.
 *
 *     16 bytes   "remit-journal/1\n"
 *     frames     u32 length · u32 crc32(payload) · u32 crc32(the 8 bytes before) · payload
 *
 * The header has a checksum of its own, because recovery must tell a frame whose write was cut short (truncated) from one
 * whose length was changed afterwards (damage): both seem to run past the end of the file.
 */
export const SEGMENT_HEADER = Buffer.from('remit-journal/1\n', 'latin1');
export const FRAME_HEADER_LENGTH = 12;
/** Larger payloads are refused, and a length beyond it is damage. */
export const MAX_PAYLOAD = 16 * 1024 * 1024;

export const LOG_FILE = '00000000.log';
export const CHECKPOINT_FILE = 'checkpoints';
export const VERIFIER_FILE = 'verifier.key';
export const LOCK_FILE = 'lock';

/** The two fields that the header's checksum covers; kept, because a view of the target would be made for each frame. */
const fields = Buffer.alloc(8);

export function writeFrameHeader(target: Buffer, offset: number, payload: Buffer): void {
  fields.writeUInt32BE(payload.length, 0);
  fields.writeUInt32BE(crc32(payload), 4);
  target.set(fields, offset);
  target.writeUInt32BE(crc32(fields), offset + 8);
}

/** What one frame header at `offset` says: undefined when the header's own checksum is wrong. */
export function readFrameHeader(bytes: Buffer, offset: number): { length: number; crc: number } | undefined {
  if (crc32(bytes.subarray(offset, offset + 8)) !== bytes.readUInt32BE(offset + 8)) return undefined;
  return { length: bytes.readUInt32BE(offset), crc: bytes.readUInt32BE(offset + 4) };
}

export function isPayloadIntact(payload: Buffer, crc: number): boolean {
  return crc32(payload) === crc;
}
