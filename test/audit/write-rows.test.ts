import { describe, expect, it } from 'vitest';
import { createRecorder } from '../../src/audit/recorder.ts';
import { BATCH, createRowWriter } from '../../src/audit/write-rows.ts';
import { RemitError } from '../../src/domain/errors.ts';
import type { OpenRecord } from '../../src/seams/record-rows.ts';
import { createFakeTime } from '../support/fake-lease-time.ts';
import { IDENTITY, memoryJournal, NOW, TENANT } from './fixtures.ts';

/** A table in memory that fails as it is told, and a journal of so many records. */
async function setUp(count: number) {
  const journal = memoryJournal();
  const seal = () => ({ key: 'k', stream: 's', at: 0, digest: 'd', ciphertext: 'sealed' });
  const recorder = createRecorder({ journal, clock: () => NOW, tenant: TENANT, seal });
  const write = async (more: number): Promise<void> => {
    for (let index = 0; index < more; index += 1) {
      await recorder.record({ ...IDENTITY, type: 'outcome', detail: { status: 'ok' } });
    }
  };
  await write(count);
  const time = createFakeTime();
  const table = new Map<number, OpenRecord>();
  const batches: number[] = [];
  const said: string[] = [];
  const faults: ('refuse' | 'lose' | 'hang')[] = [];
  let signed = count;
  let release = (): void => {};
  const log = (_: object, text: string): void => void said.push(text);
  const make = () =>
    createRowWriter({
      rows: {
        name: 'db',
        next: async () => Math.max(-1, ...table.keys()) + 1,
        async add(_journal, _node, records) {
          const fault = faults.shift();
          if (fault === 'refuse') throw new RemitError('ERR_ROWS', 'refused');
          if (fault === 'hang') await new Promise<void>((resolve) => (release = resolve));
          for (const record of records) if (!table.has(record.seq)) table.set(record.seq, record);
          batches.push(records.length);
          if (fault === 'lose') throw new RemitError('ERR_ROWS', 'lost');
        },
        close: async () => {},
      },
      journal: 'log',
      node: 'n',
      read: (from) => journal.read(from),
      signedSize: async () => signed,
      everyMs: 5_000,
      schedule: time.schedule,
      log: { debug: log, info: log, warn: log, error: log },
    });
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 50; turn += 1) await time.settle();
  };
  return {
    table,
    batches,
    said,
    faults,
    time,
    make,
    write,
    settle,
    release: () => release(),
    sign: (size: number) => {
      signed = size;
    },
  };
}

describe('rows of records', () => {
  it('are added in order and in batches, and go on where they were', async () => {
    const { table, batches, make, write, settle, time, sign } = await setUp(2 * BATCH + 30);
    const writer = make();
    writer.start();
    await settle();
    expect(batches).toEqual([BATCH, BATCH, 30]);
    expect([...table.keys()]).toEqual(Array.from({ length: 2 * BATCH + 30 }, (_, index) => index));
    expect(writer.next()).toBe(2 * BATCH + 30);
    await write(40);
    sign(2 * BATCH + 70);
    await time.advance(5_000);
    await settle();
    expect(batches.at(-1)).toBe(40);
    await writer.stop();
    expect(time.pending).toBe(0);
  });

  it('A5 hold nothing that is sealed, and nothing that is not under a signature yet', async () => {
    const { table, make, settle, sign } = await setUp(10);
    sign(7);
    const writer = make();
    writer.start();
    await settle();
    expect(table.size).toBe(7);
    expect(JSON.stringify([...table.values()])).not.toContain('sealed');
    expect(table.get(0)).toMatchObject({ type: 'outcome', agent: IDENTITY.agent, detail: { status: 'ok' } });
    await writer.stop();
  });

  it('a database that is down is tried again with growing pauses, and no record is passed over', async () => {
    const { table, faults, said, make, settle, time } = await setUp(BATCH + 5);
    faults.push('refuse', 'refuse');
    const writer = make();
    writer.start();
    await settle();
    expect(writer.next()).toBeUndefined();
    await time.advance(9_999);
    await settle();
    expect(said).toHaveLength(1);
    await time.advance(1);
    await settle();
    expect(said).toHaveLength(2);
    await time.advance(19_999);
    await settle();
    expect(table.size).toBe(0);
    await time.advance(1);
    await settle();
    expect(table.size).toBe(BATCH + 5);
    await writer.stop();
  });

  it('an answer that is lost adds nothing twice: what is there is asked', async () => {
    const { table, batches, faults, make, settle, time } = await setUp(BATCH + 5);
    faults.push('lose');
    const writer = make();
    writer.start();
    await settle();
    await time.advance(10_000);
    await settle();
    expect(batches).toEqual([BATCH, 5]);
    expect(table.size).toBe(BATCH + 5);
    await writer.stop();
  });

  it('a slow one is waited for alone: a stop lets it finish, and another process goes on from what is there', async () => {
    const { table, faults, make, settle, release } = await setUp(2 * BATCH);
    faults.push('hang');
    const writer = make();
    writer.start();
    await settle();
    const stopped = writer.stop();
    release();
    await stopped;
    expect(table.size).toBe(BATCH);
    const next = make();
    next.start();
    await settle();
    expect(table.size).toBe(2 * BATCH);
    await next.stop();
  });
});
