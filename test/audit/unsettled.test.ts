import { describe, expect, it } from 'vitest';
import { readRecords } from '../../src/audit/read-records.ts';
import { createRecorder } from '../../src/audit/recorder.ts';
import { outcomeUnknown, readHistory } from '../../src/audit/unsettled.ts';
import { taskId } from '../../src/domain/ids.ts';
import { collect, decision, IDENTITY, memoryJournal, NOW, TASK, TENANT } from './fixtures.ts';

const OTHER = taskId('tsk_b');
const ENDED = taskId('tsk_c');

describe('readHistory', () => {
  it('A1 finds every permitted call without an outcome, and recovery settles each of them once', async () => {
    const journal = memoryJournal();
    const { record } = createRecorder({ journal, clock: () => NOW, tenant: TENANT });
    await record(decision(TASK, 's1'));
    await record({ ...decision(TASK, 's1'), type: 'outcome', detail: { status: 'ok' } });
    await record(decision(TASK, 's2'));
    await record(decision(TASK, 's3', { verdict: 'deny' }));
    await record(decision(TASK, 's4', { verdict: 'step_up' }));
    await record(decision(TASK, 's5', { effect: 'list' }));
    await record({ ...decision(TASK, 's6'), type: 'discovery' });
    await record(decision(OTHER, 's7'));
    await record({ ...decision(OTHER, 's9'), type: 'outcome', detail: { status: 'ok' } });

    const history = await readHistory(readRecords(journal.read(0)));
    expect(history.unsettled.map(({ seq, span }) => [seq, span])).toEqual([
      [2, 's2'],
      [7, 's7'],
    ]);

    for (const unsettled of history.unsettled) await record(outcomeUnknown(unsettled));
    const [written] = await collect(readRecords(journal.read(journal.size - 2)));
    expect(written).toMatchObject({ ...IDENTITY, span: 's2', type: 'outcome' });
    expect(written?.detail).toEqual({ status: 'outcome_unknown', decision: 2 });
    expect((await readHistory(readRecords(journal.read(0)))).unsettled).toEqual([]);
  });

  it('A1 what follows from a call and a question to a client are settled too, and take nothing of the budget', async () => {
    const journal = memoryJournal();
    const { record } = createRecorder({ journal, clock: () => NOW, tenant: TENANT });
    await record(decision(TASK, 's1', { effect: 'follow' }));
    await record(decision(TASK, 's2', { effect: 'ask' }));
    await record(decision(TASK, 's3', { effect: 'method' }));
    const { unsettled, permittedCalls } = await readHistory(readRecords(journal.read(0)));
    expect(unsettled.map(({ span }) => span)).toEqual(['s1', 's2']);
    expect(permittedCalls.size).toBe(0);
  });

  it('counts the permitted calls of each task that goes on', async () => {
    const journal = memoryJournal();
    const { record } = createRecorder({ journal, clock: () => NOW, tenant: TENANT });
    for (const span of ['a', 'b', 'c']) {
      await record(decision(TASK, span));
      await record({ ...decision(TASK, span), type: 'outcome', detail: { status: 'ok' } });
    }
    await record(decision(OTHER, 'd'));
    await record(decision(OTHER, 'e', { verdict: 'deny' }));
    await record(decision(ENDED, 'f'));
    await record({ type: 'task_ended', task: ENDED, detail: { reason: 'completed' } });
    const { permittedCalls, unsettled } = await readHistory(readRecords(journal.read(0)));
    expect([...permittedCalls]).toEqual([
      [TASK, 3],
      [OTHER, 1],
    ]);
    // Ending a task forgives its budget, not a call whose outcome nobody wrote.
    expect(unsettled.map(({ span }) => span)).toEqual(['d', 'f']);
  });

  it('keeps two unsettled calls apart that carry no span', async () => {
    const journal = memoryJournal();
    const { record } = createRecorder({ journal, clock: () => NOW, tenant: TENANT });
    const { span: _, ...spanless } = decision(TASK, '');
    await record(spanless);
    await record(spanless);
    expect((await readHistory(readRecords(journal.read(0)))).unsettled).toHaveLength(2);
  });
});
