import { describe, expect, it } from 'vitest';
import { readRecords } from '../../src/audit/read-records.ts';
import { createRecorder, type SealInput } from '../../src/audit/recorder.ts';
import { RemitError } from '../../src/domain/errors.ts';
import { RECORD_TYPES } from '../../src/domain/record.ts';
import type { Journal } from '../../src/seams/journal.ts';
import { collect, decision, IDENTITY, memoryJournal, NOW, TASK, TENANT } from './fixtures.ts';

describe('recorder', () => {
  it('A2 keeps every record type apart, with all identities, joined by trace and span', async () => {
    const journal = memoryJournal();
    const { record } = createRecorder({ journal, clock: () => NOW, tenant: TENANT });
    for (const type of RECORD_TYPES) await record({ ...IDENTITY, type, detail: { said: type } });
    const records = await collect(readRecords(journal.read(0)));
    expect(records).toEqual(
      RECORD_TYPES.map((type, seq) => ({
        seq,
        time: '2026-01-02T03:04:05.678Z',
        tenant: 'default',
        type,
        ...IDENTITY,
        detail: { said: type },
      })),
    );
  });

  it('leaves out what is not known, and never takes time, tenant or seq from a caller', async () => {
    const journal = memoryJournal();
    const { record } = createRecorder({ journal, clock: () => NOW, tenant: TENANT });
    const claimed = { seq: 99, time: 'then', tenant: 'other', type: 'gateway_started' as const, detail: {} };
    expect(await record(claimed)).toBe(0);
    expect(JSON.parse(String(journal.payloads[0]))).toEqual({
      time: '2026-01-02T03:04:05.678Z',
      type: 'gateway_started',
      tenant: 'default',
      detail: {},
    });
  });

  it('A1 is not resolved before the journal is, and rejects with it', async () => {
    let release: (position: number) => void = () => {};
    const pending = { ...memoryJournal(), append: () => new Promise<number>((resolve) => (release = resolve)) };
    const { record } = createRecorder({ journal: pending, clock: () => NOW, tenant: TENANT });
    let seq: number | undefined;
    const recorded = record(decision(TASK, 's')).then((position) => {
      seq = position;
    });
    await new Promise(setImmediate);
    expect(seq).toBeUndefined();
    release(41);
    await recorded;
    expect(seq).toBe(41);

    const failing = { ...memoryJournal(), append: () => Promise.reject(new Error('full')) };
    const refusing = createRecorder({ journal: failing, clock: () => NOW, tenant: TENANT });
    await expect(refusing.record(decision(TASK, 's'))).rejects.toThrow('full');
  });

  it('A5 writes a decision input only sealed, or not at all', async () => {
    const journal = memoryJournal();
    const seal: SealInput = (task, text) => ({
      key: task,
      stream: 'AAAA',
      at: 7,
      digest: 'd1',
      ciphertext: `sealed${text.length}`,
    });
    const { record } = createRecorder({ journal, clock: () => NOW, tenant: TENANT, seal });
    await record({ ...decision(TASK, 'span'), input: '{"secret":"canary"}' });
    const [written] = await collect(readRecords(journal.read(0)));
    expect(written?.sealed).toEqual({ key: TASK, stream: 'AAAA', at: 7, digest: 'd1', ciphertext: 'sealed19' });
    expect(String(journal.payloads[0])).not.toContain('canary');

    const { span: _, ...withoutSpan } = decision(TASK, 'span');
    await expect(record({ ...withoutSpan, input: 'canary' })).rejects.toMatchObject({ code: 'ERR_INTERNAL' });
    const sealless = createRecorder({ journal, clock: () => NOW, tenant: TENANT });
    await expect(sealless.record({ ...decision(TASK, 's'), input: 'canary' })).rejects.toMatchObject({
      code: 'ERR_INTERNAL',
    });
    expect(journal.size).toBe(1);
  });

  it('A3 a record that nothing waits for tells when it cannot be written, also when it cannot be sealed', async () => {
    const faults: unknown[] = [];
    const journal = memoryJournal();
    const { recordLater } = createRecorder({ journal, clock: () => NOW, tenant: TENANT });
    recordLater(decision(TASK, 's'), (error) => faults.push(error));
    expect(await collect(readRecords(journal.read(0)))).toMatchObject([{ type: 'decision', span: 's', task: TASK }]);
    expect(faults).toEqual([]);

    const full = new RemitError('ERR_JOURNAL_FULL', 'full');
    const failing: Journal = { ...journal, appendLater: (_, onFault) => onFault(full) };
    const refused = createRecorder({ journal: failing, clock: () => NOW, tenant: TENANT });
    refused.recordLater(decision(TASK, 's'), (error) => faults.push(error));
    refused.recordLater({ ...decision(TASK, 's'), input: 'canary' }, (error) => faults.push(error));
    expect(faults).toEqual([full, expect.objectContaining({ code: 'ERR_INTERNAL' })]);
  });
});
