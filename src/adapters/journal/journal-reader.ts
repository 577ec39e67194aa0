import type { RemitError } from '../../domain/errors.ts';
import { BLOCK } from './frame.ts';
import {
  damagedJournal,
  endOf,
  type FrameCursor,
  FrameDamage,
  payloadOf,
  readFault,
  readFrames,
} from './frame-reader.ts';
import { listSegments, openFrames, type Segment } from './segments.ts';

export interface PositionedPayload {
  readonly position: number;
  readonly payload: Buffer;
}

/** Reads a journal's payloads without its lock, while a gateway may be appending. */
export interface JournalReader {
  /**
   * Payloads from a position on, up to the last whole one that is there at the call; those of segments that were removed
   * are left out. Going on where the last read ended costs nothing; going back reads from the start of a segment.
   * @throws `ERR_JOURNAL_DAMAGED`, `ERR_NOT_FOUND` (no journal there), `ERR_JOURNAL_FAILED` (unreadable)
   */
  read(from: number): AsyncGenerator<PositionedPayload, void>;
  /** Positions of the first payloads of segments that are there, oldest first: reading from one of them passes nothing over. */
  starts(): Promise<number[]>;
}

interface Reached extends FrameCursor {
  readonly number: number;
}

/** @param folder the journal's folder; opened for each read, never written */
export function createJournalReader(folder: string): JournalReader {
  let reached: Reached | undefined;
  return {
    read: (from) =>
      readPayloads(folder, from, {
        reached: reached !== undefined && reached.position <= from ? reached : undefined,
        reach: (cursor) => {
          reached = cursor;
        },
      }),
    starts: async () => (await segmentsFrom(folder, 0)).flatMap(({ header }) => header?.first ?? []),
  };
}

/**
 * Payloads from position `from` on. Damage is thrown.
 * @param options.reached where to begin; left out: the start of the segment that holds `from`
 * @param options.reach told the cursor behind each payload that was passed
 * @param options.until position to stop at
 */
export async function* readPayloads(
  folder: string,
  from: number,
  options: { reached?: Reached | undefined; reach?: (cursor: Reached) => void; until?: number },
): AsyncGenerator<PositionedPayload, void> {
  const { reached, reach, until = Number.POSITIVE_INFINITY } = options;
  const segments = await segmentsFrom(folder, from);
  for (const [index, segment] of segments.entries()) {
    const { number, path, header } = segment;
    const first = header?.first ?? 0;
    const start = reached?.number === number ? reached : { offset: BLOCK, position: first };
    if (start.position >= until) return;
    const file = await openFrames(folder, segment);
    // Removed since the folder was listed.
    if (file === undefined) continue;
    try {
      for await (const frames of readFrames(file, start, index === segments.length - 1)) {
        for (const frame of frames) {
          if (frame.position >= until) return;
          if (frame.position >= from) yield { position: frame.position, payload: payloadOf(frame) };
          reach?.({ number, position: frame.position + 1, offset: endOf(frame) });
        }
      }
    } catch (error) {
      throw asFault(path, error);
    } finally {
      await file.close();
    }
  }
}

async function segmentsFrom(folder: string, from: number): Promise<Segment[]> {
  const { begun, next } = await listSegments(folder).catch((error) => {
    throw asFault(folder, error);
  });
  if (begun.length === 0 && next === undefined) {
    throw readFault(folder, Object.assign(new Error('there is no segment in it'), { code: 'ENOENT' }));
  }
  const kept = begun.filter((segment) => segment.hasFrames);
  const index = kept.findLastIndex(({ header }) => header !== undefined && header.first <= from);
  return kept.slice(Math.max(0, index));
}

function asFault(path: string, error: unknown): RemitError {
  if (!(error instanceof FrameDamage)) return readFault(path, error);
  return damagedJournal(error.path ?? path, error.offset, error.position, error.message, error);
}
