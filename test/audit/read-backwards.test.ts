import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createJournalReader } from '../../src/adapters/journal/journal-reader.ts';
import { findStoryStart, type RunReader, readNewest } from '../../src/audit/read-backwards.ts';
import { readRecords } from '../../src/audit/read-records.ts';
import type { RecordFilter } from '../../src/audit/record-filter.ts';
import { createRecorder, type Recorder } from '../../src/audit/recorder.ts';
import { subjectOf, tellStory } from '../../src/audit/tell-story.ts';
import { leaseId, taskId } from '../../src/domain/ids.ts';
import type { AuditRecord } from '../../src/domain/record.ts';
import { openTestJournal } from '../journal/journal-fixture.ts';
import { collect, decision, NOW, TASK, TENANT } from './fixtures.ts';

type Files = Awaited<ReturnType<typeof openTestJournal>>;

const OLD = taskId('tsk_old');
const OWN = leaseId('lse_own');

describe('reading the trail from its end', () => {
  let folder: string;
  let journal: Files;
  let recorder: Recorder;
  let passed: Set<number>;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'remit-backwards-'));
    journal = await openTestJournal(folder, { segmentBytes: 8192, schedule: () => () => {} });
    recorder = createRecorder({ journal, clock: () => NOW, tenant: TENANT });
    passed = new Set();
    await recorder.record({ type: 'task_started', task: OLD, detail: { purpose: 'old' } });
    await recorder.record({ ...decision(OLD, 'aaaaaaaaaaaaaaaa'), lease: OWN });
    for (let number = 0; number < 60; number += 1) {
      const task = taskId(`tsk_${number}`);
      await recorder.record({ type: 'task_started', task, detail: { purpose: `n${number}` } });
      await recorder.record(decision(task, number.toString(16).padStart(16, '0')));
      await recorder.record({ type: 'task_ended', task, detail: { reason: 'completed' } });
    }
    await recorder.record({ type: 'task_ended', task: OLD, detail: { reason: 'expired' } });
    await recorder.record({ type: 'discovery', lease: leaseId('lse_gateway'), detail: { effect: 'catalogue' } });
  });
  afterEach(async () => {
    await journal.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Notes what was read. */
  function watched(): RunReader {
    const reader = createJournalReader(folder);
    return {
      starts: () => reader.starts(),
      async *read(from) {
        for await (const item of reader.read(from)) {
          passed.add(item.position);
          yield item;
        }
      },
    };
  }

  const linear = async (filter: RecordFilter): Promise<AuditRecord[]> =>
    await collect(readRecords(journal.read(0), filter));

  it.each([
    [{}, 5],
    [{}, 0],
    [{}, 100_000],
    [{ types: ['decision'] as const }, 30],
    [{ task: OLD }, 20],
    [{ task: taskId('tsk_nobody') }, 20],
    [{ types: ['task_started'] as const, since: 100 }, 7],
  ])('gives the same newest ones as a reading from the start: %j, %d', async (filter, count) => {
    const { records, next } = await readNewest(watched(), count, filter);
    const all = await linear(filter);
    expect(records).toEqual(count === 0 ? [] : all.slice(-count));
    expect(next).toBe(journal.size);
  });

  it('passes no more than the newest segments over when these have enough', async () => {
    await readNewest(watched(), 3, {});
    const starts = await createJournalReader(folder).starts();
    expect(starts.length).toBeGreaterThan(5);
    expect(Math.min(...passed)).toBeGreaterThanOrEqual(starts.at(-2) as number);
  });

  it('tells each story the same, from the start of its task on', async () => {
    for (const id of [
      'tsk_58',
      '000000000000003a',
      'tsk_5',
      'aaaaaaaaaaaaaaaa',
      OLD,
      OWN,
      '0af7651916cd43dd8448eb211c80319c',
    ]) {
      const subject = subjectOf(id);
      if (subject === undefined) return expect.unreachable(id);
      const from = (await findStoryStart(watched(), subject)) as number;
      expect(await tellStory(() => readRecords(journal.read(from)), subject), id).toEqual(
        await tellStory(() => readRecords(journal.read(0)), subject),
      );
    }
  });

  it('passes nothing over that is older than the task’s segment', async () => {
    const from = (await findStoryStart(watched(), { kind: 'call', span: '000000000000003a' })) as number;
    expect(from).toBeGreaterThan(journal.size - 80);
    expect(Math.min(...passed)).toBeGreaterThanOrEqual(from);
  });

  it('reads all for what belongs to no task, and says when there is nothing', async () => {
    expect(await findStoryStart(watched(), { kind: 'lease', lease: leaseId('lse_gateway') })).toBe(0);
    expect(await findStoryStart(watched(), { kind: 'task', task: TASK })).toBeUndefined();
  });
});
