import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { LOG_FILE } from './frame.ts';
import {
  damagedJournal,
  endOf,
  FIRST_FRAME,
  type FrameCursor,
  FrameDamage,
  hasSegmentHeader,
  payloadOf,
  readFault,
  readFrames,
} from './frame-reader.ts';

export interface PositionedPayload {
  readonly position: number;
  readonly payload: Buffer;
}

/** Reads a journal's payloads without its lock, while a gateway may be appending. */
export interface JournalReader {
  /**
   * Payloads from a position on, up to the last whole one that is there at the call. Going on where the last read ended
   * costs nothing; going back reads from the start.
   * @throws `ERR_JOURNAL_DAMAGED`, `ERR_NOT_FOUND` (no journal there), `ERR_JOURNAL_FAILED` (unreadable)
   */
  read(from: number): AsyncGenerator<PositionedPayload, void>;
}

/** @param folder the journal's folder; opened for each read, never written */
export function createJournalReader(folder: string): JournalReader {
  const path = join(folder, LOG_FILE);
  let reached = FIRST_FRAME;
  return {
    read: (from) =>
      readPayloads(path, reached.position <= from ? reached : FIRST_FRAME, from, undefined, (cursor) => {
        reached = cursor;
      }),
  };
}

/**
 * Payloads from position `from` on, reading the file from `start`; nothing without a start. Damage is thrown.
 * @param end byte to stop at; left out: the end of the file at the first step
 * @param reach told the cursor behind each payload that was passed
 */
export async function* readPayloads(
  path: string,
  start: FrameCursor | undefined,
  from: number,
  end?: number,
  reach?: (cursor: FrameCursor) => void,
): AsyncGenerator<PositionedPayload, void> {
  if (start === undefined) return;
  const file = await open(path, 'r').catch((cause) => {
    throw readFault(path, cause);
  });
  try {
    if (start === FIRST_FRAME && !(await hasSegmentHeader(file))) return;
    for await (const frames of readFrames(file, start, end)) {
      for (const frame of frames) {
        if (frame.position >= from) yield { position: frame.position, payload: payloadOf(frame) };
        reach?.({ position: frame.position + 1, offset: endOf(frame) });
      }
    }
  } catch (error) {
    if (!(error instanceof FrameDamage)) throw readFault(path, error);
    throw damagedJournal(path, error.offset, error.position, error.message, error);
  } finally {
    await file.close();
  }
}
