import type { TaskId } from '../domain/ids.ts';
import type { Journal } from '../seams/journal.ts';
import type { Recorder } from './recorder.ts';
import { markDetail } from './recovery-mark.ts';
import { foldPayload, type TrailState } from './trail-state.ts';

/**
 * Brings the state up to what is durable, and puts it on the trail as a mark: the next start goes on from there. Reads what was written since
 * the last one, beside the serving; one at a time.
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
  for await (const { position, payload } of journal.read(state.upTo)) foldPayload(state, position, payload);
  const going = [...state.tasks].flatMap(([id, { hasEnded }]) => (hasEnded ? [] : [id]));
  for (const id of await withoutEnd(going)) Object.assign(state.tasks.get(id) ?? {}, { hasEnded: true });
  const over = [...state.tasks].filter(([, { hasEnded }]) => hasEnded);
  if (over.length > 0) {
    const needed = await owing();
    for (const [id] of over) if (!needed.has(id)) state.tasks.delete(id);
  }
  await recorder.record({ type: 'recovery_mark', detail: markDetail(state) });
}

/** Position of the first record that a start from this state, or what is still alive of it, needs. */
export function neededFrom({ upTo, open, tasks }: TrailState): number {
  let needed = upTo;
  for (const { seq } of open.values()) needed = Math.min(needed, seq);
  for (const { from } of tasks.values()) needed = Math.min(needed, from);
  return needed;
}
