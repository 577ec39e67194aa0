import { RemitError } from '../domain/errors.ts';
import type { SegmentedJournal } from '../seams/journal.ts';
import { decodeRecord, peekType } from './decode-record.ts';
import { falseMark, readMark } from './recovery-mark.ts';
import { emptyTrailState, foldPayload, type TrailState } from './trail-state.ts';

/** What a start reads of a journal. */
export type ReadableTrail = Pick<SegmentedJournal, 'segments' | 'read'>;

export interface ReadTrail {
  readonly state: TrailState;
  /** Position of the mark that was gone on from; undefined where the whole trail was read. */
  readonly mark: number | undefined;
}

/**
 * What the trail says of the present: of the newest mark and the records behind it, so that a start takes as long as a segment or two, whatever
 * the log's length; of all records where there is no mark.
 * @throws `ERR_JOURNAL_DAMAGED`: a payload that is not a record, a mark that is not true, records that are gone and that no record says were removed
 */
export async function readTrail(journal: ReadableTrail): Promise<ReadTrail> {
  const segments = await journal.segments();
  const oldest = segments[0]?.first ?? 0;
  let found: { state: TrailState; mark: number } | undefined;
  for (const { first, end } of [...segments].reverse()) {
    for await (const { position, payload } of journal.read(first)) {
      if (position >= end) break;
      if (peekType(payload) === 'recovery_mark') {
        found = { state: readMark(decodeRecord(position, payload)), mark: position };
      }
    }
    if (found !== undefined) break;
  }
  if (oldest > (found?.state.upTo ?? 0)) throw goneWithout(oldest, 'the newest recovery mark needs what is gone');
  const state = found?.state ?? emptyTrailState();
  for await (const { position, payload } of journal.read(state.upTo)) foldPayload(state, position, payload);
  if (oldest > state.removedBefore)
    throw goneWithout(oldest, `only those before ${state.removedBefore} were announced`);
  await readOpen(journal, state, found?.mark ?? 0);
  return { state, mark: found?.mark };
}

/** Reads the decisions that a mark alone knows: nearly always none, at most those that were under way when it was made. */
async function readOpen(journal: ReadableTrail, { open }: TrailState, mark: number): Promise<void> {
  const unread = new Map(
    [...open].flatMap(([key, { seq, unknown }]) => (unknown === undefined ? [[seq, key] as const] : [])),
  );
  if (unread.size === 0) return;
  const last = Math.max(...unread.keys());
  for await (const { position, payload } of journal.read(Math.min(...unread.keys()))) {
    if (position > last) break;
    const key = unread.get(position);
    if (key === undefined) continue;
    const alone = emptyTrailState();
    foldPayload(alone, position, payload);
    const operation = alone.open.get(key);
    if (operation === undefined) throw falseMark(mark, `record ${position} is not an operation that was under way`);
    open.set(key, operation);
    unread.delete(position);
  }
  const [missing] = unread.keys();
  if (missing !== undefined) throw falseMark(mark, `record ${missing}, which was under way, is not there`);
}

function goneWithout(before: number, what: string): RemitError {
  return new RemitError('ERR_JOURNAL_DAMAGED', `records before ${before} are gone, and ${what}`, {
    where: `record ${before}`,
    hint: 'Keep the folder as evidence, and restore it from a copy that verifies; nothing was changed.',
  });
}
