import type { FileHandle } from 'node:fs/promises';
import { messageOf, RemitError } from '../../domain/errors.ts';
import {
  BLOCK,
  checksumOf,
  decodeSegmentHeader,
  FRAME_HEADER_LENGTH,
  MAX_PAYLOAD,
  readFrameHeader,
  type SegmentHeader,
} from './frame.ts';
import { findIncomplete } from './incomplete-write.ts';
import { hashPrefixedLeaf, type TreeHash } from './merkle-tree.ts';

const CHUNK = 256 * 1024;

export type ReadableFile = Pick<FileHandle, 'read' | 'stat'>;

/** Where a frame starts: byte in its segment and position in the log. */
export interface FrameCursor {
  readonly offset: number;
  readonly position: number;
}

export interface Frame extends FrameCursor {
  readonly leaf: TreeHash;
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/** Behind the last whole frame. */
export interface FramesEnd extends FrameCursor {
  /** Where the remains of an incomplete write end; `offset` without any. */
  readonly dirtyEnd: number;
}

/** A frame that is not what was written. Not a fault yet: `verify` reports it, opening throws it. */
export class FrameDamage extends Error {
  readonly offset: number;
  readonly position: number;
  /** Where it is not the file that is being read. */
  readonly path: string | undefined;

  constructor(what: string, at: FrameCursor, path?: string) {
    super(what);
    this.offset = at.offset;
    this.position = at.position;
    this.path = path;
  }
}

/**
 * Reads whole frames, a chunk's worth at a time, up to the room that nothing has been written to yet.
 * @param isLast whether this segment is the one that is written to: only there may a write be incomplete
 * @throws FrameDamage
 */
export async function* readFrames(
  file: ReadableFile,
  from: FrameCursor,
  isLast: boolean,
): AsyncGenerator<readonly Frame[], FramesEnd> {
  let { offset, position } = from;
  let wanted = CHUNK;
  for (;;) {
    const bytes = await readFully(file, offset, wanted);
    const isAll = bytes.length < wanted;
    wanted = CHUNK;
    const { frames, used, needed } = cutFrames(bytes, { offset, position });
    offset += used;
    position += frames.length;
    if (frames.length > 0) {
      yield frames;
    } else if (needed > bytes.length && !isAll) {
      wanted = needed;
    } else {
      const dirtyEnd = await endOfIncomplete(file, { offset, position }, isLast);
      if (dirtyEnd !== undefined) return { offset, position, dirtyEnd };
    }
  }
}

/** Whole, intact frames at the start of `bytes`; where they end, and how many bytes the next one needs to be looked at. */
function cutFrames(bytes: Buffer, from: FrameCursor): { frames: Frame[]; used: number; needed: number } {
  const frames: Frame[] = [];
  let used = 0;
  let needed = FRAME_HEADER_LENGTH;
  while (bytes.length - used >= FRAME_HEADER_LENGTH) {
    const header = readFrameHeader(bytes, used);
    if (header === undefined || header.length > MAX_PAYLOAD) break;
    const start = used + FRAME_HEADER_LENGTH;
    const end = start + header.length;
    needed = end - used;
    if (end > bytes.length) break;
    // The header's last byte lends its place to RFC 6962's leaf prefix.
    const last = bytes[start - 1] as number;
    bytes[start - 1] = 0;
    const leaf = hashPrefixedLeaf(bytes.subarray(start - 1, end));
    bytes[start - 1] = last;
    if (checksumOf(leaf) !== header.checksum) break;
    frames.push({ offset: from.offset + used, position: from.position + frames.length, leaf, bytes, start, end });
    used = end;
    needed = FRAME_HEADER_LENGTH;
  }
  return { frames, used, needed: used === 0 ? needed : FRAME_HEADER_LENGTH };
}

/**
 * What is behind the last whole frame: nothing, or an incomplete write, whose end is given; anything else is damage. While
 * a gateway appends, what looked like damage may have been a write under way: undefined when the frame is whole by now.
 */
async function endOfIncomplete(file: ReadableFile, at: FrameCursor, isLast: boolean): Promise<number | undefined> {
  const { size } = await file.stat();
  const rest = await readFully(file, at.offset, Math.max(0, size - at.offset));
  if (cutFrames(rest, at).frames.length > 0) return undefined;
  const found = findIncomplete(rest, at.offset, at.position);
  if (typeof found === 'number' && (isLast || found === at.offset)) return found;
  const again = await readFully(file, at.offset, rest.length);
  if (cutFrames(again, at).frames.length > 0) return undefined;
  throw new FrameDamage(typeof found === 'number' ? 'the frame is cut short' : found.problem, at);
}

/** The first block of a segment. @throws FrameDamage */
export async function readSegmentHeader(file: ReadableFile, path: string): Promise<SegmentHeader | 'unwritten'> {
  const header = decodeSegmentHeader(await readFully(file, 0, BLOCK));
  if (header === 'unwritten' || 'first' in header) return header;
  throw new FrameDamage(header.problem, { offset: 0, position: 0 }, path);
}

/** Bytes from `offset` on; fewer than `length` only where the file ends. */
async function readFully(file: ReadableFile, offset: number, length: number): Promise<Buffer> {
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
