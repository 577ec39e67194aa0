import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endAll, type Home, makeHome, run, runJson, runToFail, startUp, type Up, until } from '../cli/remit.ts';
import { FAKE_S3_BUCKET, FAKE_S3_KEY, type FakeS3, startFakeS3 } from '../support/fake-s3.ts';
import { recordsOf } from '../support/whole-gateway.ts';

/** A gateway process that ships to a bucket over HTTP, and is killed in the middle. */
let s3: FakeS3;
let home: Home;
let gateway: Up;

beforeAll(async () => {
  s3 = await startFakeS3();
  home = await makeHome();
  const { bucket, region } = FAKE_S3_BUCKET;
  const key = `accessKeyId: ${FAKE_S3_KEY.accessKeyId}, secretAccessKey: trail-bucket`;
  await writeFile(
    home.config,
    `journal: { ship: { s3: { endpoint: ${JSON.stringify(s3.url)}, bucket: ${bucket}, region: ${region}, prefix: remit, ${key} } } }\n`,
    { flag: 'a' },
  );
  await run(['secret', 'init', '--config', home.config]);
  const put = ['secret', 'put', 'trail-bucket', '--config', home.config];
  const kept = await run(put, { input: FAKE_S3_KEY.secretAccessKey });
  expect(kept.code, kept.stderr).toBe(0);
});
afterAll(async () => {
  await endAll();
  await s3?.close();
});

const rotate = () => run(['audit', 'rotate', '--config', home.config]);
const shipped = () => recordsOf(home as never, 'segment_shipped');

async function download(): Promise<string> {
  const to = join(home.folder, 'downloaded');
  for (const [key, { bytes }] of s3.objects) {
    await mkdir(dirname(join(to, key)), { recursive: true });
    await writeFile(join(to, key), bytes);
  }
  return to;
}

describe('a trail that is shipped to a bucket', () => {
  it('A4 goes on after kill −9 where it was, ships nothing twice, and what is downloaded verifies with nothing else', {
    timeout: 240_000,
  }, async () => {
    gateway = await startUp(home.config);
    await rotate();
    await until(async () => (await shipped()).length >= 1, 'the first segment is shipped');
    s3.troubles.push({ at: /\.checkpoints$/, how: 'hang' });
    await rotate();
    await until(() => s3.asked.some((line) => line.includes('hung')), 'the second one is under way');
    gateway.child.kill('SIGKILL');
    await gateway.exited;
    const before = (await shipped()).length;
    s3.troubles.length = 0;
    gateway = await startUp(home.config);
    await until(async () => (await shipped()).length > before, 'it goes on');
    expect(await gateway.stop()).toBe(0);
    const records = await shipped();
    expect(records.map(({ detail }) => detail.segment)).toEqual(records.map((_, index) => index));
    // Of each object one PUT was taken, but for the newest checkpoint.
    const taken = s3.asked.filter((line) => /^PUT .*[0-9]{8}\.\w+ 200$/.test(line));
    expect(new Set(taken).size).toBe(taken.length);
    expect(s3.forged).toEqual([]);
    const newest = [...s3.objects.keys()].find((key) => key.endsWith('/newest.checkpoint')) as string;
    const folder = await download();
    const verified = await runJson<{ ok: boolean; size: number; isPart: boolean }>([
      ...['audit', 'verify', '--folder', folder, '--anchor', join(folder, newest)],
    ]);
    expect(verified).toMatchObject({ ok: true, isPart: true, size: records.at(-1)?.detail.end });
    // Beside the journal itself: the same log, one of them a part.
    const both = await run(['audit', 'verify', '--folder', folder, '--folder', join(home.folder, '.remit', 'journal')]);
    expect(both.code, both.stderr).toBe(0);
    expect(both.stdout).toContain('a copy of what is closed');
    await writeFile(join(folder, dirname(newest), '00000000.log'), Buffer.alloc(8192));
    expect(await runToFail(['audit', 'verify', '--folder', folder])).toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
  });

  it('A3 a bucket that refuses holds nothing up: the gateway starts, serves and stops', {
    timeout: 120_000,
  }, async () => {
    s3.troubles.push({ at: /./, how: 403 });
    gateway = await startUp(home.config);
    await rotate();
    await until(() => gateway.stderr().includes('a segment could not be shipped'), 'it is said');
    expect(gateway.stderr()).toContain('the published checkpoint cannot be read');
    const health = await (await fetch(`${gateway.url}/healthz`)).json();
    expect(health).toMatchObject({ status: 'serving' });
    expect(await gateway.stop()).toBe(0);
    expect(gateway.stderr()).not.toContain(FAKE_S3_KEY.secretAccessKey);
  });
});
