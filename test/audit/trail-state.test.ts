import { describe, expect, it } from 'vitest';
import { readRecords } from '../../src/audit/read-records.ts';
import { createRecorder, type Recorder } from '../../src/audit/recorder.ts';
import { markDetail, readMark } from '../../src/audit/recovery-mark.ts';
import { emptyTrailState, foldPayload, type TrailState } from '../../src/audit/trail-state.ts';
import { taskId } from '../../src/domain/ids.ts';
import { collect, decision, IDENTITY, memoryJournal, NOW, TASK, TENANT } from './fixtures.ts';

const OTHER = taskId('tsk_b');
const ENDED = taskId('tsk_c');

describe('what the trail says of the present', () => {
  const journal = memoryJournal;

  async function stateOf(of: ReturnType<typeof memoryJournal>): Promise<TrailState> {
    const state = emptyTrailState();
    for await (const { position, payload } of of.read(0)) foldPayload(state, position, payload);
    return state;
  }

  const recorderOf = (of: ReturnType<typeof memoryJournal>): Recorder =>
    createRecorder({ journal: of, clock: () => NOW, tenant: TENANT });

  const openSpans = ({ open }: TrailState): string[] => [...open.keys()];

  it('a task that came from another node goes on from the calls that were counted there, and charges the one above it', async () => {
    const trail = journal();
    const { record } = recorderOf(trail);
    const adopted = (task: typeof TASK, detail: object) =>
      record({ type: 'task_adopted', task, detail: { ...detail } });
    await record(decision(TASK, 's1'));
    await adopted(TASK, { used: 1_000, from: 'nb' });
    await adopted(OTHER, { used: 400, from: 'nb', parent: TASK });
    await record(decision(TASK, 's2'));
    await record(decision(OTHER, 's3'));
    // Again, after a restart: what it knew by then.
    await adopted(TASK, { used: 1_001 });
    const { tasks } = await stateOf(trail);
    expect([tasks.get(TASK)?.calls, tasks.get(OTHER)?.calls]).toEqual([1_002, 401]);
  });

  it('A1 finds every permitted call without an outcome, and recovery settles each of them once', async () => {
    const trail = journal();
    const { record } = recorderOf(trail);
    await record(decision(TASK, 's1'));
    await record({ ...decision(TASK, 's1'), type: 'outcome', detail: { status: 'ok' } });
    await record(decision(TASK, 's2'));
    await record(decision(TASK, 's3', { verdict: 'deny' }));
    await record(decision(TASK, 's4', { verdict: 'step_up' }));
    await record(decision(TASK, 's5', { effect: 'list' }));
    await record({ ...decision(TASK, 's6'), type: 'discovery' });
    await record(decision(OTHER, 's7'));
    await record({ ...decision(OTHER, 's9'), type: 'outcome', detail: { status: 'ok' } });

    const { open } = await stateOf(trail);
    expect([...open].map(([span, { seq }]) => [seq, span])).toEqual([
      [2, 's2'],
      [7, 's7'],
    ]);

    for (const { unknown } of open.values()) if (unknown !== undefined) await record(unknown);
    const [written] = await collect(readRecords(trail.read(trail.size - 2)));
    expect(written).toMatchObject({ ...IDENTITY, span: 's2', type: 'outcome' });
    expect(written?.detail).toEqual({ status: 'outcome_unknown', decision: 2 });
    expect(openSpans(await stateOf(trail))).toEqual([]);
  });

  it('A1 what follows from a call and a question to a client are settled too, and take nothing of the budget', async () => {
    const trail = journal();
    const { record } = recorderOf(trail);
    await record(decision(TASK, 's1', { effect: 'follow' }));
    await record(decision(TASK, 's2', { effect: 'ask' }));
    await record(decision(TASK, 's3', { effect: 'method' }));
    const state = await stateOf(trail);
    expect(openSpans(state)).toEqual(['s1', 's2']);
    expect(state.tasks.size).toBe(0);
  });

  it('V1 knows how far the revocation log was read, and which row is there, over a mark too', async () => {
    const trail = journal();
    const { record } = recorderOf(trail);
    const applied = { action: 'suspend', subject: 'agent scribe', by: 'dana', reason: 'leak' };
    await record({ type: 'gateway_started', detail: { revocations: 3 } });
    expect((await stateOf(trail)).log).toEqual({ position: 3, row: undefined });
    await record({ type: 'revocation_applied', detail: { position: 4, ...applied, tasksEnded: 0 } });
    await record({ type: 'gateway_started', detail: { revocations: 4 } });
    const state = await stateOf(trail);
    expect(state.log).toEqual({ position: 4, row: applied });
    await record({ type: 'recovery_mark', detail: markDetail(state) });
    const [mark] = await collect(readRecords(trail.read(trail.size - 1)));
    expect(mark && readMark(mark).log).toEqual(state.log);
    const detail = { action: 'store_set_back_accept', log: { position: 2, ...applied } };
    await record({ type: 'administration', detail });
    expect((await stateOf(trail)).log).toEqual({ position: 2, row: applied });
  });

  it('counts the permitted calls of each task that goes on', async () => {
    const trail = journal();
    const { record } = recorderOf(trail);
    for (const span of ['a', 'b', 'c']) {
      await record(decision(TASK, span));
      await record({ ...decision(TASK, span), type: 'outcome', detail: { status: 'ok' } });
    }
    await record(decision(OTHER, 'd'));
    await record(decision(OTHER, 'e', { verdict: 'deny' }));
    await record(decision(ENDED, 'f'));
    await record({ type: 'task_ended', task: ENDED, detail: { reason: 'completed' } });
    const state = await stateOf(trail);
    expect([...state.tasks].map(([id, { from, calls, hasEnded }]) => [id, from, calls, hasEnded])).toEqual([
      [TASK, 0, 3, false],
      [OTHER, 6, 1, false],
      [ENDED, 8, 0, true],
    ]);
    // Ending a task forgives its budget, not a call whose outcome nobody wrote.
    expect(openSpans(state)).toEqual(['d', 'f']);
    expect(state.upTo).toBe(trail.size);
  });

  it('keeps two unsettled calls apart that carry no span', async () => {
    const trail = journal();
    const { record } = recorderOf(trail);
    const { span: _, ...spanless } = decision(TASK, '');
    await record(spanless);
    await record(spanless);
    expect((await stateOf(trail)).open.size).toBe(2);
  });

  it('A4 refuses a payload that is not a record, and reads one whose type does not stand where ours does', async () => {
    const trail = journal();
    await trail.append(`{"type":"task_started","task":"${TASK}","time":"x","tenant":"t","detail":{}}`);
    expect((await stateOf(trail)).tasks.has(TASK)).toBe(true);
    await trail.append('{"a":1}');
    await expect(stateOf(trail)).rejects.toMatchObject({ code: 'ERR_JOURNAL_DAMAGED', where: 'record 1' });
  });

  describe('of what families of tasks have read', () => {
    const flow = (trust: string, dataClasses: string[], outward: number, family?: string) => ({
      flow: { labels: { trust, dataClasses, zones: ['internal'] }, outward, provenance: [], ...(family && { family }) },
    });
    const WORST = {
      labels: { trust: 'untrusted', dataClasses: ['personal', 'secret'], zones: ['internal'] },
      outward: 2,
    };

    it('is the worst that the intents of the family say, also of a child that has ended; a mark keeps it', async () => {
      const trail = journal();
      const { record } = recorderOf(trail);
      await record(decision(TASK, 's1', flow('internal', ['personal'], 1)));
      await record(decision(OTHER, 's2', flow('untrusted', ['secret'], 2, TASK)));
      await record({ type: 'task_ended', task: OTHER, detail: {} });
      await record(decision(TASK, 's4', flow('trusted', [], 0)));
      await record(decision(TASK, 's5', { ...flow('untrusted', ['financial'], 9), verdict: 'step_up' }));
      const state = await stateOf(trail);
      expect(state.tasks.get(TASK)?.flow).toEqual(WORST);
      const detail = JSON.parse(JSON.stringify(markDetail(state))) as ReturnType<typeof markDetail>;
      const mark = { ...(await collect(readRecords(trail.read(0))))[0], seq: trail.size, detail } as never;
      expect(readMark(mark).tasks.get(TASK)).toEqual(state.tasks.get(TASK));
      const [, , , read] = (detail.tasks as Record<string, unknown[]>)[TASK] ?? [];
      (read as { labels: { trust: string } }).labels.trust = 'harmless';
      expect(() => readMark(mark)).toThrow('says what cannot be');
    });

    it('goes with the task at its top', async () => {
      const trail = journal();
      const { record } = recorderOf(trail);
      await record(decision(ENDED, 's1', flow('untrusted', [], 0)));
      await record({ type: 'task_ended', task: ENDED, detail: {} });
      expect((await stateOf(trail)).tasks.get(ENDED)?.flow).toBeUndefined();
    });
  });

  it('A1 a call of a child takes of the budgets above it, by the records and by a mark, after the child has ended too', async () => {
    const trail = journal();
    const { record } = recorderOf(trail);
    const [top, child, grandchild] = [TASK, OTHER, ENDED];
    await record({ type: 'task_started', ...IDENTITY, task: top, detail: {} });
    await record({ type: 'task_started', ...IDENTITY, task: child, detail: { parent: top } });
    await record({ type: 'task_started', ...IDENTITY, task: grandchild, detail: { parent: child } });
    for (const [task, span] of [
      [grandchild, 'g1'],
      [grandchild, 'g2'],
      [child, 'c1'],
      [top, 't1'],
    ] as const) {
      await record(decision(task, span));
    }
    await record({ type: 'task_ended', ...IDENTITY, task: grandchild, detail: { reason: 'completed' } });
    const state = await stateOf(trail);
    const calls = ({ tasks }: TrailState) => [top, child].map((task) => tasks.get(task)?.calls);
    expect(calls(state)).toEqual([4, 3]);
    await record({ type: 'recovery_mark', detail: markDetail(state) });
    const [mark] = (await collect(readRecords(trail.read(0)))).filter(({ type }) => type === 'recovery_mark');
    const again = readMark(mark as never);
    expect(again.tasks).toEqual(state.tasks);
    await record(decision(child, 'c2'));
    for await (const { position, payload } of trail.read(again.upTo)) foldPayload(again, position, payload);
    expect(calls(again)).toEqual([5, 4]);
  });

  it('V2 risk survives a restart as the last signal left it, by the records and by a mark; clearing and the end of a task take it', async () => {
    const trail = journal();
    const { record } = recorderOf(trail);
    const scored = (scores: Record<string, unknown>) =>
      record({ type: 'signal', detail: { signal: 'denials', what: 'w', points: 1, scores, levels: {} } });
    await record({ type: 'task_started', ...IDENTITY, task: OTHER, detail: {} });
    await scored({ [`task ${TASK}`]: [20, NOW], 'agent scribe': [20, NOW] });
    await scored({ [`task ${TASK}`]: [40.5, NOW + 5], [`task ${OTHER}`]: [7, NOW], 'connector crm': [9, NOW] });
    await record({
      type: 'administration',
      detail: { action: 'risk_clear', subject: 'connector crm', reason: 'looked', by: 'dana' },
    });
    await record({ type: 'administration', detail: { action: 'task_end', subject: 'agent scribe' } });
    await record({ type: 'task_ended', ...IDENTITY, task: OTHER, detail: { reason: 'completed' } });
    const state = await stateOf(trail);
    const expected = new Map([
      [`task ${TASK}`, { score: 40.5, at: NOW + 5 }],
      ['agent scribe', { score: 20, at: NOW }],
    ]);
    expect(state.risks).toEqual(expected);
    await record({ type: 'recovery_mark', detail: markDetail(state) });
    const marks = (await collect(readRecords(trail.read(0)))).filter(({ type }) => type === 'recovery_mark');
    expect(readMark(marks[0] as never).risks).toEqual(expected);
  });

  it.each([{ 'task tsk_a': [-1, 0] }, { 'task tsk_a': ['9', 0] }, { 'task tsk_a': 9 }, { 'moon x': [1, 1] }])(
    'A4 a mark with a risk that cannot be is false: %j',
    (risks) => {
      const detail = { ...markDetail(emptyTrailState()), risks };
      expect(() => readMark({ seq: 0, detail } as never)).toThrow('is not true');
    },
  );
});
