import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readRecords } from '../../src/audit/read-records.ts';
import { readTrail } from '../../src/audit/read-trail.ts';
import { createRecorder, type RecordEntry, type Recorder } from '../../src/audit/recorder.ts';
import { keepTrail, type TrailKeeper } from '../../src/compose/trail/keep-trail.ts';
import { verifyTrail } from '../../src/compose/trail/verify-trail.ts';
import type { Workspace } from '../../src/compose/workspace.ts';
import { type TaskId, taskId } from '../../src/domain/ids.ts';
import type { AuditRecord } from '../../src/domain/record.ts';
import { Secret } from '../../src/domain/secret.ts';
import { collect, decision, TASK, TENANT } from '../audit/fixtures.ts';
import { openTestJournal } from '../journal/journal-fixture.ts';
import { FAKE_S3_BUCKET, FAKE_S3_KEY, startFakeS3 } from '../support/fake-s3.ts';

type Files = Awaited<ReturnType<typeof openTestJournal>>;

const DAY = 86_400_000;
const OTHER = taskId('tsk_other');

describe('keeping the trail', () => {
  let folder: string;
  let journal: Files;
  let recorder: Recorder;
  let keeper: TrailKeeper;
  /** The wall clock, and what it is told apart from. */
  let wall: number;
  let monotonic: number;
  let due: { ms: number; task: () => void }[];
  let leases: { task: TaskId }[];
  let refuses: ((entry: RecordEntry) => boolean) | undefined;
  let warnings: string[];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'remit-keep-'));
    wall = 1_000 * DAY;
    monotonic = 0;
    leases = [];
    refuses = undefined;
  });
  afterEach(async () => {
    await journal.close();
    await rm(folder, { recursive: true, force: true });
  });

  const pass = (ms: number): void => {
    wall += ms;
    monotonic += ms;
  };

  async function start(keepDays?: number, ship: object = {}): Promise<void> {
    due = [];
    warnings = [];
    journal = await openTestJournal(folder, {
      schedule: () => () => {},
      clock: () => wall,
      thinFrom: 0,
      onSegment: () => keeper?.segmentBegun(),
    });
    const writer = createRecorder({ journal, clock: () => wall, tenant: TENANT });
    recorder = {
      record: (entry) => (refuses?.(entry) === true ? Promise.reject(new Error('refused')) : writer.record(entry)),
    };
    const say = (_: object, text: string): void => void warnings.push(text);
    const workspace = {
      loaded: { path: '/etc/remit.yaml' },
      config: { journal: { segmentHours: 24, keepDays, ship } },
      places: { journal: folder },
      vault: { get: async () => new Secret(FAKE_S3_KEY.secretAccessKey) },
      estate: { tenant: TENANT },
      store: { leases: { list: async () => leases }, tasks: { get: async () => undefined } },
      system: {
        clock: () => wall,
        monotonic: () => monotonic,
        log: { debug: say, info: () => {}, warn: say, error: say },
        schedule: (ms: number, task: () => void) => {
          due.push({ ms, task });
          return () => {};
        },
      },
    } as unknown as Workspace;
    const { state } = await readTrail(journal);
    keeper = keepTrail({ workspace, journal, recorder, state, tasks: { live: () => [] } });
    await keeper.start();
  }

  const logs = async (): Promise<string[]> => (await readdir(folder)).filter((name) => name.endsWith('.log')).sort();
  const recordsOf = async (type: AuditRecord['type']): Promise<AuditRecord[]> =>
    await collect(readRecords(journal.read(0), { types: [type] }));

  /** A segment a day, each with a call of a task that ends. */
  async function live(days: number): Promise<void> {
    for (let day = 0; day < days; day += 1) {
      await recorder.record({ type: 'task_started', task: TASK, detail: {} });
      await recorder.record(decision(TASK, `s${wall}`));
      await recorder.record({ ...decision(TASK, `s${wall}`), type: 'outcome', detail: {} });
      await recorder.record({ type: 'task_ended', task: TASK, detail: {} });
      pass(DAY);
      await keeper.rotate();
    }
  }

  async function signOften(): Promise<void> {
    for (let count = 0; count < 60; count += 1) {
      await recorder.record(decision(TASK, `s${count}`));
      await journal.checkpoint();
    }
  }
  async function signedSizes(): Promise<number[]> {
    const text = await readFile(join(folder, 'checkpoints'), 'utf8');
    return [...text.matchAll(/^remit\.example\.org\/audit\n([0-9]+)\n/gm)].map(([, size]) => Number(size));
  }

  it('A4 removes nothing unless it is configured', async () => {
    await start();
    await live(10);
    expect(await recordsOf('records_removed')).toEqual([]);
    expect((await logs()).length).toBe(11);
  });

  it('A4 what is removed is on the trail before, with who and by what configuration; verification says it, and the rest verifies', async () => {
    await start(3);
    await live(10);
    const removals = await recordsOf('records_removed');
    expect(removals.length).toBeGreaterThan(1);
    expect(removals.at(-1)?.detail).toMatchObject({
      segments: 1,
      keep: { days: 3 },
      configuration: '/etc/remit.yaml',
      by: userInfo().username,
      root: expect.stringMatching(/^[A-Za-z0-9+/]{43}=$/),
    });
    expect((await logs()).length).toBe(4);
    await journal.checkpoint();
    const verified = await verifyTrail(folder, { key: undefined, anchorFile: undefined });
    expect(verified).toMatchObject({
      ok: true,
      firstRecord: removals.at(-1)?.detail.end,
      removals: removals.map(({ seq, detail }) => ({ record: seq, end: detail.end, keep: { days: 3 } })),
    });
    // Removed by hand, and not on record: the next one.
    await rm(join(folder, (await logs())[0] as string));
    expect(await verifyTrail(folder, { key: undefined, anchorFile: undefined })).toMatchObject({
      ok: false,
      problem: { kind: 'missing', what: expect.stringContaining('no record says that they were removed') },
    });
    await expect(readTrail(journal)).rejects.toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
  });

  it('A4 removes nothing that is not shipped yet, where segments are shipped', async () => {
    const s3 = await startFakeS3(() => wall);
    s3.troubles.push({ at: /./, how: 503 });
    try {
      const { accessKeyId } = FAKE_S3_KEY;
      const place = { endpoint: s3.url, ...FAKE_S3_BUCKET, prefix: '', accessKeyId, secretAccessKey: 'bucket' };
      await start(1, { s3: { ...place, allowPrivateNetwork: false } });
      await live(4);
      expect(await recordsOf('records_removed')).toEqual([]);
      expect((await logs())[0]).toBe('00000000.log');
      await signOften();
      await keeper.rotate();
      const signed = await signedSizes();
      await keeper.rotate();
      expect(await signedSizes()).toEqual(expect.arrayContaining(signed));
      expect(warnings).toContain(
        'more of the trail is kept than is configured: a task or a credential that is alive needs it, or it is not shipped yet',
      );
      await journal.checkpoint();
      s3.troubles.length = 0;
      const turns = (async () => {
        while ((await recordsOf('records_removed')).length === 0) {
          // The pause after a failure, and what is looked at now and then.
          for (const { task } of due.splice(0)) task();
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      })();
      await turns;
      const shipped = await recordsOf('segment_shipped');
      const [removal] = await recordsOf('records_removed');
      expect(shipped[0]?.seq).toBeLessThan(removal?.seq as number);
      expect(Number(removal?.detail.end)).toBeLessThanOrEqual(Number(shipped.at(-1)?.detail.end));
    } finally {
      await keeper.stop();
      await s3.close();
    }
  });

  it('A4 keeps a few checkpoints of a day that is over, whatever is kept of the records', async () => {
    await start();
    await signOften();
    const before = await signedSizes();
    pass(DAY);
    await keeper.rotate();
    const after = await signedSizes();
    expect(before.length).toBeGreaterThan(60);
    expect(after.length).toBeLessThan(25);
    expect((await journal.segments()).map(({ first }) => first).filter((first) => !after.includes(first))).toEqual([]);
    expect(await verifyTrail(folder, { key: undefined, anchorFile: undefined })).toMatchObject({ ok: true });
  });

  it('A4 removes nothing where the removal cannot be recorded', async () => {
    await start(1);
    refuses = ({ type }) => type === 'records_removed';
    await expect(live(3)).rejects.toThrow('refused');
    expect(await recordsOf('records_removed')).toEqual([]);
    expect((await logs())[0]).toBe('00000000.log');
    expect(warnings).toContain('the trail could not be marked, or its old part removed; it is tried again');
  });

  it('A4 a crash between the record and the removal: the next start finishes it, with no second record', async () => {
    await start(1);
    await live(1);
    const before = await logs();
    // What a kill leaves at this point: the announcement durable, and every file still there.
    const append = journal.checkpoint.bind(journal);
    journal.checkpoint = () => Promise.reject(new Error('killed'));
    await expect(live(1)).rejects.toThrow('killed');
    journal.checkpoint = append;
    expect(await recordsOf('records_removed')).toHaveLength(1);
    expect((await logs()).slice(0, before.length)).toEqual(before);
    await journal.close();
    await start(1);
    expect((await logs())[0]).toBe('00000001.log');
    expect(await recordsOf('records_removed')).toHaveLength(1);
    expect(await verifyTrail(folder, { key: undefined, anchorFile: undefined })).toMatchObject({ ok: true });
  });

  it('A4 keeps what a live task or a live credential has records in, says so, and lets go when it is over', async () => {
    await start(1);
    await recorder.record({ type: 'task_started', task: OTHER, detail: {} });
    await live(3);
    expect((await logs())[0]).toBe('00000000.log');
    expect(warnings.filter((text) => text.includes('more of the trail is kept'))).toHaveLength(1);
    await recorder.record({ type: 'task_ended', task: OTHER, detail: {} });
    leases = [{ task: OTHER }];
    await live(1);
    expect((await logs())[0]).toBe('00000000.log');
    leases = [];
    await live(1);
    expect((await logs())[0]).not.toBe('00000000.log');
  });

  it('A4 a clock that jumps ahead while the gateway runs removes nothing', async () => {
    await start(30);
    await live(5);
    wall += 1_000 * DAY;
    await live(1);
    expect(await recordsOf('records_removed')).toEqual([]);
  });

  it('a segment ends at its age, unless a mark is all that it holds; a mark is in each new one', async () => {
    await start();
    const round = async (): Promise<void> => {
      due.pop()?.task();
      await keeper.stop();
      await journal.close();
      await start();
    };
    await recorder.record({ type: 'task_started', task: TASK, detail: {} });
    pass(23 * 3_600_000);
    due.pop()?.task();
    await new Promise(setImmediate);
    expect((await journal.segments()).length).toBe(1);
    pass(3_600_000);
    await round();
    const segments = await journal.segments();
    expect(segments.length).toBe(2);
    expect((await recordsOf('recovery_mark')).some(({ seq }) => seq === segments[1]?.first)).toBe(true);
  });
});
