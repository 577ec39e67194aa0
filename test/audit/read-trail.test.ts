import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { markTrail, neededFrom } from '../../src/audit/mark-trail.ts';
import { type ReadableTrail, readTrail } from '../../src/audit/read-trail.ts';
import { createRecorder, type Recorder } from '../../src/audit/recorder.ts';
import { markDetail } from '../../src/audit/recovery-mark.ts';
import { emptyTrailState, foldPayload, type TrailState } from '../../src/audit/trail-state.ts';
import { type TaskId, taskId } from '../../src/domain/ids.ts';
import { openTestJournal } from '../journal/journal-fixture.ts';
import { decision, NOW, TASK, TENANT } from './fixtures.ts';

type Files = Awaited<ReturnType<typeof openTestJournal>>;

const OTHER = taskId('tsk_b');
const nobody = async (): Promise<ReadonlySet<TaskId>> => new Set();

describe('reading the trail from a bound', () => {
  let folder: string;
  let journal: Files;
  let recorder: Recorder;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'remit-trail-'));
    await open(folder);
  });
  afterEach(async () => {
    await journal.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function open(at: string): Promise<void> {
    journal = await openTestJournal(at, { segmentBytes: 8192, schedule: () => () => {} });
    recorder = createRecorder({ journal, clock: () => NOW, tenant: TENANT });
  }

  /** Told where each reading begins. */
  function watched(): ReadableTrail & { readonly from: number[] } {
    const from: number[] = [];
    return {
      from,
      segments: () => journal.segments(),
      read(at) {
        from.push(at);
        return journal.read(at);
      },
    };
  }

  async function whole(): Promise<TrailState> {
    const state = emptyTrailState();
    for await (const { position, payload } of journal.read(0)) foldPayload(state, position, payload);
    return state;
  }

  const mark = (state: TrailState, owing = nobody): Promise<void> => markTrail({ journal, recorder, state, owing });

  const call = async (task: TaskId, span: string): Promise<void> => {
    await recorder.record(decision(task, span));
    await recorder.record({ ...decision(task, span), type: 'outcome', detail: { status: 'ok' } });
  };

  it('A1 reads all of it without a mark, and with one nothing before the segment that holds it', async () => {
    for (let number = 0; number < 60; number += 1) await call(TASK, `s${number}`);
    await recorder.record(decision(OTHER, 'under way'));
    const first = await readTrail(watched());
    expect(first.mark).toBeUndefined();
    expect(first.state.tasks.get(TASK)).toMatchObject({ calls: 60 });
    await mark(first.state);
    await call(TASK, 'later');
    const reading = watched();
    const { state, mark: at } = await readTrail(reading);
    expect(at).toBe(121);
    expect(state.tasks.get(TASK)).toEqual({ from: 0, calls: 61, prompt: undefined, hasEnded: false });
    expect([...state.open]).toMatchObject([['under way', { seq: 120, unknown: { type: 'outcome', task: OTHER } }]]);
    const { length, ...ends } = await journal.segments();
    expect(length).toBeGreaterThan(5);
    expect(Math.min(...reading.from)).toBeGreaterThanOrEqual(
      (ends as Record<number, { first: number }>)[length - 2]?.first as number,
    );
  });

  it('A4 goes on with a task of which other nodes have made more calls than this journal has records', async () => {
    await recorder.record({ type: 'task_adopted', task: TASK, detail: { used: 5_000, from: 'nb' } });
    await call(TASK, 'a');
    await mark((await readTrail(journal)).state);
    const { state, mark: at } = await readTrail(journal);
    expect(at).toBe(3);
    expect(state.tasks.get(TASK)?.calls).toBe(5_001);
  });

  it('A1 goes back to the mark before, where a crash came between a new segment and its mark', async () => {
    await call(TASK, 'a');
    await mark((await readTrail(journal)).state);
    for (let number = 0; number < 30; number += 1) await call(TASK, `s${number}`);
    const { state, mark: at } = await readTrail(journal);
    expect(at).toBe(2);
    expect(state.tasks.get(TASK)?.calls).toBe(31);
  });

  it('A1 a mark and what is behind it say the same as the whole, whatever the history (property)', {
    timeout: 60_000,
  }, async () => {
    const step = fc.record({
      what: fc.constantFrom('decide', 'settle', 'start', 'end', 'prompt', 'mark', 'other'),
      task: fc.constantFrom('tsk_a', 'tsk_b', 'tsk_c').map(taskId),
      span: fc.constantFrom('1', '2', '3', '4'),
    });
    let round = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        await journal.close();
        round += 1;
        await open(join(folder, `round${round}`));
        let { state } = await readTrail(journal);
        const ended = new Set<TaskId>();
        for (const { what, task, span } of steps) {
          // Nothing is decided for a task that has ended.
          if (ended.has(task) && what !== 'settle' && what !== 'mark') continue;
          if (what === 'decide') await recorder.record(decision(task, span));
          else if (what === 'settle') await recorder.record({ ...decision(task, span), type: 'outcome', detail: {} });
          else if (what === 'start') await recorder.record({ type: 'task_started', task, detail: {} });
          else if (what === 'end') {
            ended.add(task);
            await recorder.record({ type: 'task_ended', task, detail: {} });
          } else if (what === 'prompt') await recorder.record({ type: 'prompt', task, detail: { digest: `d${span}` } });
          else if (what === 'other') await recorder.record({ type: 'discovery', task, detail: {} });
          else {
            await mark(state);
            // As after a restart: what is known is what the mark says.
            if (span === '1') ({ state } = await readTrail(journal));
          }
        }
        const read = (await readTrail(journal)).state;
        const full = await whole();
        const shown = ({ upTo, open, tasks }: TrailState): object => ({
          upTo,
          open: [...open].sort(),
          // One that has ended is forgotten with the next mark.
          tasks: [...tasks]
            .filter(([, { hasEnded }]) => !hasEnded)
            .map(([id, { calls, prompt }]) => [id, calls, prompt])
            .sort(),
        });
        expect(shown(read)).toEqual(shown(full));
      }),
      { numRuns: 40 },
    );
  });

  it('A4 fails closed on a mark that cannot be true', async () => {
    await call(TASK, 'a');
    const good = markDetail((await readTrail(journal)).state);
    for (const change of [
      { upTo: 3 },
      { upTo: -1 },
      { upTo: '2' },
      { removedBefore: 3 },
      { tasks: null },
      { tasks: { tsk_a: [3, 0] } },
      { tasks: { tsk_a: [0, -1] } },
      { tasks: { tsk_a: [0, 1.5] } },
      { tasks: { tsk_a: { calls: 0 } } },
      { tasks: { tsk_a: [0, 1, 7] } },
      { open: { a: 2 } },
      { open: { a: 'x' } },
      { open: undefined },
      // The second is an outcome, and the first one's span is another.
      { open: { a: 1 } },
      { open: { b: 0 } },
    ]) {
      const payload = JSON.stringify({
        time: new Date(NOW).toISOString(),
        type: 'recovery_mark',
        tenant: TENANT,
        detail: { ...good, ...change },
      });
      const false_: ReadableTrail = {
        segments: async () => [{ first: 0, end: 3, begunAt: 0, bytes: 0 }],
        async *read(from) {
          yield* journal.read(from);
          yield { position: 2, payload: Buffer.from(payload) };
        },
      };
      await expect(readTrail(false_), JSON.stringify(change)).rejects.toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
    }
  });

  it('A4 fails closed on records that are gone without a record that says so, or that the newest mark needs', async () => {
    for (let number = 0; number < 60; number += 1) await call(TASK, `s${number}`);
    await journal.checkpoint();
    const { state } = await readTrail(journal);
    const [, second] = await journal.segments();
    await journal.removeBefore(second?.first as number, async () => {});
    await expect(readTrail(journal)).rejects.toMatchObject({
      code: 'ERR_JOURNAL_DAMAGED',
      message: expect.stringContaining('the newest recovery mark needs what is gone'),
    });
    await mark(state);
    await expect(readTrail(journal)).rejects.toMatchObject({
      code: 'ERR_JOURNAL_DAMAGED',
      message: expect.stringContaining('only those before 0 were announced'),
    });
    await recorder.record({ type: 'records_removed', detail: { end: second?.first } });
    expect((await readTrail(journal)).state.removedBefore).toBe(second?.first);
  });

  it('A4 what is needed begins with the oldest record of a live task, an open call, or an ended task with live credentials', async () => {
    await recorder.record({ type: 'task_started', task: OTHER, detail: {} });
    await recorder.record({ type: 'task_started', task: TASK, detail: {} });
    await recorder.record(decision(taskId('tsk_c'), 'open'));
    const { state } = await readTrail(journal);
    expect(neededFrom(state)).toBe(0);
    await recorder.record({ type: 'task_ended', task: OTHER, detail: {} });
    await mark(state, async () => new Set([OTHER]));
    expect(neededFrom(state)).toBe(0);
    await mark(state);
    expect(neededFrom(state)).toBe(1);
    await recorder.record({ type: 'task_ended', task: TASK, detail: {} });
    await recorder.record({ type: 'task_ended', task: taskId('tsk_c'), detail: {} });
    await mark(state);
    expect(neededFrom(state)).toBe(2);
    await recorder.record({ ...decision(taskId('tsk_c'), 'open'), type: 'outcome', detail: {} });
    await mark(state);
    expect(neededFrom(state)).toBe(state.upTo);
    // Of a task whose end is not on the trail, the store is asked.
    await recorder.record(decision(OTHER, 'late'));
    await recorder.record({ ...decision(OTHER, 'late'), type: 'outcome', detail: {} });
    await mark(state);
    expect(neededFrom(state)).toBe(state.tasks.get(OTHER)?.from);
    await markTrail({ journal, recorder, state, owing: nobody, withoutEnd: async (going) => going });
    expect(neededFrom(state)).toBe(state.upTo);
  });
});
