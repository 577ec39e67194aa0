import { FRAME_HEADER_LENGTH, type FrameHeader, isZero, MAX_PAYLOAD, readFrameHeader } from './frame.ts';

/** The disk writes a sector whole or not at all, and several in any order. */
const SECTOR = 512;

/**
 * Tells the last write, cut short by a crash, from damage to something that was durable. `rest` is the segment from the
 * first frame that is not whole, or from where nothing has been written yet, to the file's end. An incomplete write is
 * the last one, so nothing of a later write follows it; and a part of the frame is missing: it is still the zeros of the
 * room that was made for it, a whole sector of them or everything to the end. A changed byte leaves neither.
 * @returns where its remains end (`offset` when there are none), or what is damaged
 */
export function findIncomplete(rest: Buffer, offset: number, position: number): number | { readonly problem: string } {
  const writtenEnd = lastWritten(rest);
  if (writtenEnd === 0) return offset;
  if (isFollowedByLaterWrite(rest.subarray(0, writtenEnd), position))
    return { problem: damageOf(rest, 'the frame is damaged') };
  const header = headerAt(rest, 0);
  if (header !== undefined && header.length > MAX_PAYLOAD)
    return { problem: `a length of ${header.length} bytes is impossible` };
  const end = header === undefined ? FRAME_HEADER_LENGTH : FRAME_HEADER_LENGTH + header.length;
  if (writtenEnd < end || hasMissingSector(rest, offset, header === undefined ? undefined : end))
    return offset + writtenEnd;
  return { problem: damageOf(rest, 'the header of the frame is damaged') };
}

function damageOf(rest: Buffer, otherwise: string): string {
  return headerAt(rest, 0) === undefined ? otherwise : 'the payload does not match its checksum';
}

/** Undefined where none is, or one whose own checksum is wrong. */
export function headerAt(bytes: Buffer, at: number): FrameHeader | undefined {
  return at + FRAME_HEADER_LENGTH <= bytes.length ? readFrameHeader(bytes, at) : undefined;
}

/** Whether a sector of the frame was never written: where its end is not known, one that its header lies in. */
function hasMissingSector(rest: Buffer, offset: number, end: number | undefined): boolean {
  let from = 0;
  while (from < (end ?? FRAME_HEADER_LENGTH)) {
    const sectorEnd = from + SECTOR - ((offset + from) % SECTOR);
    if (isZero(rest.subarray(from, Math.min(sectorEnd, end ?? sectorEnd)))) return true;
    from = sectorEnd;
  }
  return false;
}

/** Looks for a frame of a write that began behind `position`: that one began only when this one was durable. */
function isFollowedByLaterWrite(rest: Buffer, position: number): boolean {
  const here = position % 0x1_0000_0000;
  for (let at = 1; at + FRAME_HEADER_LENGTH <= rest.length; at += 1) {
    // Most bytes are settled here: lengths are below 2^25.
    if ((rest[at] as number) > 1) continue;
    const later = (rest.readUInt32BE(at + 8) - here) >>> 0;
    if (later === 0 || later > 0x7fff_ffff) continue;
    if (rest.readUInt32BE(at) <= MAX_PAYLOAD && readFrameHeader(rest, at) !== undefined) return true;
  }
  return false;
}

/** Where the zeros begin that go on to the end. */
function lastWritten(rest: Buffer): number {
  let end = rest.length;
  while (end > 0 && isZero(rest.subarray(Math.max(0, end - SECTOR), end))) end = Math.max(0, end - SECTOR);
  while (end > 0 && rest[end - 1] === 0) end -= 1;
  return end;
}
