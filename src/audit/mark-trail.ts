import type { TaskId } from '../domain/ids.ts';
import type { Journal } from '../seams/journal.ts';
import type { Recorder } from './recorder.ts';
import { markDetail } from './recovery-mark.ts';
import { foldPayload, type TrailState } from './trail-state.ts';

/**
 * Puts the state on the trail as a mark: the next start goes on from there. The state follows what is recorded; what it has not followed is read
 * first, beside the serving. One at a time.
 * @param owing tasks that have credentials which are not ended: their records are still needed
 * @param withoutEnd which of these tasks have ended all the same: a record that came late began one anew, or a crash took its end's
 * @throws what `Recorder.record` throws
 */
export async function markTrail(parts: {
  journal: Journal;
  recorder: Recorder;
  state: TrailState;
  owing: () => Promise<ReadonlySet<TaskId>>;
  withoutEnd?: (tasks: readonly TaskId[]) => Promise<readonly TaskId[]>;
}): Promise<void> {
  const { journal, recorder, state, owing, withoutEnd = async () => [] } = parts;
  await catchUp(journal, state);
  const going = [...state.tasks].flatMap(([id, { hasEnded }]) => (hasEnded ? [] : [id]));
  for (const id of await withoutEnd(going)) Object.assign(state.tasks.get(id) ?? {}, { hasEnded: true });
  const over = [...state.tasks].filter(([, { hasEnded }]) => hasEnded);
  if (over.length > 0) {
    const needed = await owing();
    for (const [id] of over) if (!needed.has(id)) state.tasks.delete(id);
  }
  await recorder.record({ type: 'recovery_mark', detail: markDetail(state) });
}

/** What is being written now may not be there to be read yet: a mark sums up what is before it, and a start reads the rest. */
async function catchUp(journal: Journal, state: TrailState): Promise<void> {
  if (state.upTo === journal.size) return;
  for await (const { position, payload } of journal.read(state.upTo)) foldRead(state, position, payload);
}

/** Others may have been followed meanwhile. */
function foldRead(state: TrailState, position: number, payload: Buffer): void {
  if (position === state.upTo) foldPayload(state, position, payload);
}

/** Position of the first record that a start from this state, or what is still alive of it, needs. */
export function neededFrom({ upTo, open, tasks }: TrailState): number {
  let needed = upTo;
  for (const { seq } of open.values()) needed = Math.min(needed, seq);
  for (const { from } of tasks.values()) needed = Math.min(needed, from);
  return needed;
}
