import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createS3Archive } from '../../src/adapters/archive/s3-archive.ts';
import { closedSegments, keyFile } from '../../src/adapters/journal/closed-segments.ts';
import type { FileJournal } from '../../src/adapters/journal/file-journal.ts';
import { createGuardedFetch, type GuardedFetch } from '../../src/adapters/upstreams/guarded-fetch.ts';
import { createRecorder, type RecordEntry, type Recorder } from '../../src/audit/recorder.ts';
import { createShipper, type Shipper } from '../../src/audit/ship-segments.ts';
import { emptyTrailState, foldPayload, type TrailState } from '../../src/audit/trail-state.ts';
import { verifyTrail } from '../../src/compose/trail/verify-trail.ts';
import { Secret } from '../../src/domain/secret.ts';
import { ORIGIN, openTestJournal } from '../journal/journal-fixture.ts';
import { createFakeTime, type FakeTime } from '../support/fake-lease-time.ts';
import { FAKE_S3_BUCKET, FAKE_S3_KEY, type FakeS3, startFakeS3 } from '../support/fake-s3.ts';
import { TENANT } from './fixtures.ts';

/** Real segments, real HTTP, and time that moves when told. */
let folder: string;
let s3: FakeS3;
let guarded: GuardedFetch;
let journal: FileJournal;
let recorder: Recorder;
let time: FakeTime;
let said: string[];
let refuses: boolean;
let shipper: Shipper | undefined;
let shipped: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-ship-'));
  s3 = await startFakeS3();
  guarded = createGuardedFetch({ hostname: '127.0.0.1', allowPrivateNetwork: false });
  await open();
});
afterEach(async () => {
  await shipper?.stop();
  await journal.close();
  await guarded.close();
  await s3.close();
  await rm(folder, { recursive: true, force: true });
});

async function open(): Promise<void> {
  time = createFakeTime();
  said = [];
  refuses = false;
  shipped = 0;
  journal = await openTestJournal(join(folder, 'journal'));
  const writer = createRecorder({ journal, clock: () => Date.UTC(2026, 0, 1), tenant: TENANT });
  recorder = { record: (entry) => (refuses ? Promise.reject(new Error('refused')) : writer.record(entry)) };
}

/** A segment of some records, closed, and under a signature. */
async function closeSegment(records = 3): Promise<void> {
  const entry: RecordEntry = { type: 'task_ended', detail: { reason: 'completed' } };
  for (let count = 0; count < records; count += 1) await recorder.record(entry);
  journal.endSegment();
  await recorder.record(entry);
  await journal.checkpoint();
}

async function stateNow(): Promise<TrailState> {
  const state = emptyTrailState();
  for await (const { position, payload } of journal.read(0)) foldPayload(state, position, payload);
  return state;
}

async function ship(): Promise<Shipper> {
  const log = (_: object, text: string): void => void said.push(text);
  shipper = createShipper({
    archive: createS3Archive({
      endpoint: s3.url,
      ...FAKE_S3_BUCKET,
      prefix: 'p',
      credentials: async () => ({
        accessKeyId: FAKE_S3_KEY.accessKeyId,
        secretAccessKey: new Secret(FAKE_S3_KEY.secretAccessKey),
      }),
      fetch: guarded.fetch,
      clock: Date.now,
    }),
    base: ORIGIN,
    key: keyFile(join(folder, 'journal')),
    closed: (from) => closedSegments(join(folder, 'journal'), from),
    recorder,
    state: await stateNow(),
    onShipped: () => {
      shipped += 1;
    },
    schedule: time.schedule,
    log: { debug: log, info: log, warn: log, error: log },
  });
  shipper.wake();
  return shipper;
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  for (let turn = 0; turn < 2_000; turn += 1) {
    if (isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  throw new Error(`not so in time: ${what}`);
}

const records = async (): Promise<{ segment: number; first: number; end: number }[]> => {
  const found: { segment: number; first: number; end: number }[] = [];
  for await (const { payload } of journal.read(0)) {
    const { type, detail } = JSON.parse(payload.toString());
    if (type === 'segment_shipped') found.push({ segment: detail.segment, first: detail.first, end: detail.end });
  }
  return found;
};
const puts = (): string[] =>
  s3.asked.filter((line) => line.startsWith('PUT')).map((line) => line.replace(`PUT p/${ORIGIN}/`, ''));

/** What somebody who downloads it has. */
async function download(): Promise<string> {
  const to = join(folder, 'downloaded');
  for (const [key, { bytes }] of s3.objects) {
    await mkdir(dirname(join(to, key)), { recursive: true });
    await writeFile(join(to, key), bytes);
  }
  return join(to, 'p', ORIGIN);
}

describe('shipping closed segments', () => {
  it('A4 in order, each once, on record; and what is downloaded verifies as it lies there', async () => {
    await closeSegment();
    await closeSegment();
    const { shippedBefore, wake } = await ship();
    await until('two are shipped', () => shipped === 2);
    expect(puts()).toEqual([
      'verifier.key 200',
      '00000000.log 200',
      '00000000.checkpoints 200',
      '00000001.log 200',
      '00000001.checkpoints 200',
    ]);
    expect(await records()).toEqual([
      { segment: 0, first: 0, end: 3 },
      { segment: 1, first: 3, end: 7 },
    ]);
    expect(shippedBefore()).toBe(7);
    await closeSegment();
    wake();
    await until('the third is', () => shipped === 3);
    const at = await download();
    const original = await readFile(join(folder, 'journal', '00000001.log'));
    expect((await readFile(join(at, '00000001.log'))).equals(original)).toBe(true);
    const verified = await verifyTrail(at, { key: undefined, anchorFile: undefined });
    expect(verified).toMatchObject({ ok: true, isPart: true, size: shippedBefore(), signedSize: shippedBefore() });
    const log = await readFile(join(at, '00000001.log'));
    const place = log.indexOf('completed');
    log[place] = (log[place] as number) ^ 1;
    await writeFile(join(at, '00000001.log'), log);
    expect(await verifyTrail(at, { key: undefined, anchorFile: undefined })).toMatchObject({ ok: false });
  });

  it('a bucket that refuses, or cannot be reached, is tried again with growing pauses, and nothing is passed over', async () => {
    await closeSegment();
    s3.troubles.push({ at: /00000000.log/, how: 403 });
    const { shippedBefore, wake } = await ship();
    for (const [failures, pause] of [
      [1, 1_000],
      [2, 2_000],
      [3, 4_000],
    ] as const) {
      await until(`failure ${failures}`, () => said.length === failures && time.pending === 1);
      wake();
      await time.advance(pause - 1);
      expect(said).toHaveLength(failures);
      if (failures < 3) await time.advance(1);
    }
    expect(shippedBefore()).toBe(0);
    expect(await records()).toEqual([]);
    s3.troubles.length = 0;
    await time.advance(1);
    await until('it is shipped', () => shipped === 1);
    expect(await records()).toHaveLength(1);
  });

  it('an answer that is lost ships nothing twice', async () => {
    await closeSegment();
    s3.troubles.push({ at: /00000000.checkpoints/, how: 'lose', times: 1 });
    await ship();
    await until('it failed', () => said.length === 1 && time.pending === 1);
    await time.advance(1_000);
    await until('it is shipped', () => shipped === 1);
    expect(puts().slice(-2)).toEqual(['00000000.log 412', '00000000.checkpoints 412']);
    expect(await records()).toHaveLength(1);
    expect((await verifyTrail(await download(), { key: undefined, anchorFile: undefined })).ok).toBe(true);
  });

  it('a crash between the archive and the record ships it again, finds it there, and records it once', async () => {
    await closeSegment();
    refuses = true;
    await ship();
    await until('it could not be recorded', () => said.length === 1);
    expect(s3.objects.size).toBe(3);
    await shipper?.stop();
    await journal.close();
    await open();
    await ship();
    await until('it is shipped', () => shipped === 1);
    expect(await records()).toEqual([{ segment: 0, first: 0, end: 3 }]);
    // And one behind it begins where that ended.
    await shipper?.stop();
    const asked = s3.asked.length;
    await closeSegment();
    const { shippedBefore } = await ship();
    await until('the next one is', () => shipped === 2);
    expect(s3.asked.slice(asked).some((line) => line.includes('00000000.log'))).toBe(false);
    expect(shippedBefore()).toBe(8);
  });

  it('a bucket that never answers is given up at the stop, and holds nothing up', async () => {
    await closeSegment();
    s3.troubles.push({ at: /./, how: 'hang' });
    const { stop } = await ship();
    await until('it was asked', () => s3.asked.length === 1);
    await recorder.record({ type: 'task_ended', detail: {} });
    await stop();
    expect(time.pending).toBe(0);
    expect(said).toEqual([]);
  });

  it('A4 other bytes under a name are never written over: it goes no further, and says so', async () => {
    await closeSegment();
    s3.objects.set(`p/${ORIGIN}/00000000.log`, { bytes: Buffer.from('else'), headers: {} });
    const { shippedBefore } = await ship();
    await until('it is said', () => said.length === 1);
    expect(shippedBefore()).toBe(0);
    expect(s3.objects.get(`p/${ORIGIN}/00000000.log`)?.bytes.toString()).toBe('else');
  });

  it('what is not closed, or not under a signature, is not shipped; of what was removed the leaf hashes are', async () => {
    await closeSegment();
    await closeSegment();
    await journal.removeBefore(3, async () => {});
    expect((await readdir(join(folder, 'journal'))).filter((name) => /^0+0\.(log|leaves)$/.test(name))).toEqual([
      '00000000.leaves',
    ]);
    await ship();
    await until('two are shipped', () => shipped === 2);
    expect(puts()).toContain('00000000.leaves 200');
    expect(puts().some((line) => line.startsWith('00000002'))).toBe(false);
    const kept = await verifyTrail(await download(), { key: undefined, anchorFile: undefined });
    // The removal itself is announced in what is not closed yet.
    expect(kept).toMatchObject({ ok: false, problem: { kind: 'missing', where: { record: 0 } } });
  });
});
