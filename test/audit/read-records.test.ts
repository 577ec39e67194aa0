import { describe, expect, it } from 'vitest';
import { followRecords, readRecords, toJsonl } from '../../src/audit/read-records.ts';
import { createRecorder } from '../../src/audit/recorder.ts';
import { taskId, traceId } from '../../src/domain/ids.ts';
import { collect, decision, memoryJournal, NOW, TASK, TENANT } from './fixtures.ts';

const OTHER = taskId('tsk_b');

async function sample() {
  const journal = memoryJournal();
  const recorder = createRecorder({ journal, clock: () => NOW, tenant: TENANT });
  await recorder.record({ type: 'gateway_started', detail: {} });
  await recorder.record(decision(TASK, 's1'));
  await recorder.record({ ...decision(OTHER, 's2'), trace: traceId('f'.repeat(32)) });
  await recorder.record({ ...decision(TASK, 's1'), type: 'outcome', detail: { status: 'ok' } });
  return { journal, recorder };
}

describe('readRecords', () => {
  it('filters by task, type, trace and position, all together', async () => {
    const { journal } = await sample();
    const seqs = async (filter: object) => (await collect(readRecords(journal.read(0), filter))).map(({ seq }) => seq);
    expect(await seqs({})).toEqual([0, 1, 2, 3]);
    expect(await seqs({ task: TASK })).toEqual([1, 3]);
    expect(await seqs({ types: ['decision'] })).toEqual([1, 2]);
    expect(await seqs({ types: ['decision', 'outcome'], task: TASK, since: 2 })).toEqual([3]);
    expect(await seqs({ trace: traceId('f'.repeat(32)) })).toEqual([2]);
    expect(await seqs({ since: 4 })).toEqual([]);
  });

  it('filters by agent, connector, item, lease, verdict and time', async () => {
    const { journal, recorder } = await sample();
    await recorder.record({ ...decision(TASK, 's3'), detail: { verdict: 'deny' } });
    const seqs = async (filter: object) => (await collect(readRecords(journal.read(0), filter))).map(({ seq }) => seq);
    expect(await seqs({ agent: 'triage-bot' })).toEqual([1, 2, 3, 4]);
    expect(await seqs({ agent: 'nobody' })).toEqual([]);
    expect(await seqs({ connector: 'shop_db', tool: 'shop_db/query', lease: 'lse_a' })).toEqual([1, 2, 3, 4]);
    expect(await seqs({ tool: 'shop_db/other' })).toEqual([]);
    expect(await seqs({ verdict: 'deny' })).toEqual([4]);
    expect(await seqs({ from: NOW })).toEqual([0, 1, 2, 3, 4]);
    expect(await seqs({ from: NOW + 1 })).toEqual([]);
    expect(await seqs({ to: NOW })).toEqual([]);
    expect(await seqs({ from: NOW, to: NOW + 1 })).toEqual([0, 1, 2, 3, 4]);
  });

  it.each(['', '{', '[]', 'null', '{"type":"decision"}', '{"time":"t","type":"decision","tenant":"d"}'])(
    'refuses the payload %j',
    async (text) => {
      const { journal } = await sample();
      journal.payloads.push(Buffer.from(text));
      await expect(collect(readRecords(journal.read(0)))).rejects.toMatchObject({
        code: 'ERR_JOURNAL_DAMAGED',
        where: 'record 4',
      });
    },
  );

  it('exports JSON Lines, seq first', async () => {
    const { journal } = await sample();
    const lines = await collect(toJsonl(readRecords(journal.read(0), { since: 3 })));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^\{"seq":3,"time":"2026-01-02T03:04:05\.678Z","type":"outcome",.*\}\n$/);
  });
});

describe('followRecords', () => {
  it('gives what is there and then what is added, and ends when it is told to', async () => {
    const { journal, recorder } = await sample();
    const stop = new AbortController();
    const polls: (() => void)[] = [];
    const following = followRecords((from) => journal.read(from), {
      filter: { task: TASK, since: 2 },
      pollMs: 250,
      schedule: (ms, task) => {
        expect(ms).toBe(250);
        polls.push(task);
        return () => {};
      },
      signal: stop.signal,
    });
    expect((await following.next()).value).toMatchObject({ seq: 3 });

    const next = following.next();
    await new Promise(setImmediate);
    polls.shift()?.();
    await new Promise(setImmediate);
    expect(polls).toHaveLength(1);
    await recorder.record(decision(OTHER, 's3'));
    await recorder.record(decision(TASK, 's4'));
    polls.shift()?.();
    expect((await next).value).toMatchObject({ seq: 5, span: 's4' });

    const last = following.next();
    await new Promise(setImmediate);
    stop.abort();
    expect(await last).toEqual({ done: true, value: undefined });
  });
});
