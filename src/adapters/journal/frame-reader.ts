import type { FileHandle } from 'node:fs/promises';
import { messageOf, RemitError } from '../../domain/errors.ts';
import { FRAME_HEADER_LENGTH, isPayloadIntact, MAX_PAYLOAD, readFrameHeader, SEGMENT_HEADER } from './frame.ts';

const CHUNK = 256 * 1024;

/** Where a frame starts: byte in the segment and position in the log. */
export interface FrameCursor {
  readonly offset: number;
  readonly position: number;
}

export const FIRST_FRAME: FrameCursor = { offset: SEGMENT_HEADER.length, position: 0 };

export interface Frame extends FrameCursor {
  /** With the frame header in front: `bytes[start - 1]` belongs to it. */
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/** A frame that is not what was written. Not a fault yet: `verify` reports it, opening throws it. */
export class FrameDamage extends Error {
  readonly offset: number;
  readonly position: number;

  constructor(what: string, at: FrameCursor) {
    super(what);
    this.offset = at.offset;
    this.position = at.position;
  }
}

/**
 * Reads whole frames, a chunk's worth at a time, up to `end` or to the end of the file as it is now. Returns the cursor
 * behind the last whole frame; what lies between it and the end is an incomplete frame.
 * @throws FrameDamage
 */
export async function* readFrames(
  file: Pick<FileHandle, 'read' | 'stat'>,
  from: FrameCursor,
  end?: number,
): AsyncGenerator<readonly Frame[], FrameCursor> {
  const limit = end ?? (await file.stat()).size;
  let { offset, position } = from;
  let wanted = CHUNK;
  while (offset < limit) {
    const requested = Math.min(wanted, limit - offset);
    const bytes = await readFully(file, offset, requested);
    const frames: Frame[] = [];
    let used = 0;
    wanted = CHUNK;
    while (bytes.length - used >= FRAME_HEADER_LENGTH) {
      const header = readFrameHeader(bytes, used);
      const at = { offset: offset + used, position };
      if (header === undefined) throw new FrameDamage('the header of the frame is damaged', at);
      if (header.length > MAX_PAYLOAD) throw new FrameDamage(`a length of ${header.length} bytes is impossible`, at);
      const start = used + FRAME_HEADER_LENGTH;
      const frameEnd = start + header.length;
      if (frameEnd > bytes.length) {
        wanted = Math.max(CHUNK, frameEnd - used);
        break;
      }
      if (!isPayloadIntact(bytes.subarray(start, frameEnd), header.crc)) {
        throw new FrameDamage('the payload does not match its checksum', at);
      }
      frames.push({ ...at, bytes, start, end: frameEnd });
      position += 1;
      used = frameEnd;
    }
    // Nothing whole in all that is left is an incomplete frame; in a part of it, the next chunk is long enough.
    const isAllThatIsLeft = requested === limit - offset || bytes.length < requested;
    offset += used;
    if (frames.length > 0) yield frames;
    else if (isAllThatIsLeft) break;
  }
  return { offset, position };
}

/**
 * Whether the segment's header is whole. False for a file that is still being made: shorter, and a prefix of one.
 * @throws FrameDamage
 */
export async function hasSegmentHeader(file: Pick<FileHandle, 'read'>): Promise<boolean> {
  const header = await readFully(file, 0, SEGMENT_HEADER.length);
  if (!header.equals(SEGMENT_HEADER.subarray(0, header.length))) {
    throw new FrameDamage('the file does not start with the header of a journal of version 1', {
      offset: 0,
      position: 0,
    });
  }
  return header.length === SEGMENT_HEADER.length;
}

/** Bytes from `offset` on; fewer than `length` only where the file ends. */
async function readFully(file: Pick<FileHandle, 'read'>, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
    if (bytesRead === 0) return bytes.subarray(0, done);
    done += bytesRead;
  }
  return bytes;
}

export function payloadOf(frame: Frame): Buffer {
  return frame.bytes.subarray(frame.start, frame.end);
}

/** Byte of the segment behind a frame. */
export function endOf(frame: Frame): number {
  return frame.offset + FRAME_HEADER_LENGTH + frame.end - frame.start;
}

/** The fault for an error of the file system while reading. */
export function readFault(path: string, cause: unknown): RemitError {
  if (cause instanceof RemitError) return cause;
  const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
  const hint = isMissing
    ? 'Name the data folder of a gateway that has run at least once.'
    : 'Run as the user that owns the data folder; check the disk.';
  const message = `the journal cannot be read: ${messageOf(cause)}`;
  return new RemitError(isMissing ? 'ERR_NOT_FOUND' : 'ERR_JOURNAL_FAILED', message, { where: path, hint, cause });
}

/** The fault for a journal that is not what was written to it. */
export function damagedJournal(
  file: string,
  offset: number,
  record: number | undefined,
  what: string,
  cause?: unknown,
): RemitError {
  const where = `${file}, byte ${offset}${record === undefined ? '' : `, record ${record}`}`;
  const hint =
    'Keep the folder as evidence, run `remit audit verify`, and restore it from a copy that verifies; nothing was changed.';
  return new RemitError('ERR_JOURNAL_DAMAGED', `the journal is damaged: ${what}`, { where, hint, cause });
}
