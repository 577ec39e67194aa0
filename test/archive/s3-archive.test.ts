import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createS3Archive } from '../../src/adapters/archive/s3-archive.ts';
import { createGuardedFetch, type GuardedFetch } from '../../src/adapters/upstreams/guarded-fetch.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { Archive } from '../../src/seams/archive.ts';
import { FAKE_S3_BUCKET, FAKE_S3_KEY, type FakeS3, startFakeS3 } from '../support/fake-s3.ts';

const NEVER = new AbortController().signal;
const BYTES = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251));

let s3: FakeS3;
let guarded: GuardedFetch;
let archive: Archive;

const archiveWith = (more: Partial<Parameters<typeof createS3Archive>[0]> & { secret?: string } = {}): Archive =>
  createS3Archive({
    endpoint: s3.url,
    ...FAKE_S3_BUCKET,
    prefix: 'remit trail/a+b',
    credentials: async () => ({
      accessKeyId: FAKE_S3_KEY.accessKeyId,
      secretAccessKey: new Secret(more.secret ?? FAKE_S3_KEY.secretAccessKey),
    }),
    fetch: guarded.fetch,
    clock: Date.now,
    ...more,
  });

beforeEach(async () => {
  s3 = await startFakeS3();
  guarded = createGuardedFetch({ hostname: '127.0.0.1', allowPrivateNetwork: false });
  archive = archiveWith();
});
afterEach(async () => {
  await guarded.close();
  await s3.close();
});

describe('an archive in a bucket', () => {
  it('keeps bytes whole under a signature that holds, and knows them again', async () => {
    expect(await archive.keep('log/00000000.log', BYTES, NEVER)).toBe('kept');
    expect(await archive.keep('log/00000000.log', BYTES, NEVER)).toBe('there');
    expect(s3.objects.get('remit trail/a+b/log/00000000.log')?.bytes.equals(BYTES)).toBe(true);
    expect(s3.forged).toEqual([]);
    expect(await archive.read('log/00000000.log', NEVER).catch((error: Error) => error.message)).toContain(
      'larger than',
    );
    await archive.replace('newest', Buffer.from('one'), NEVER);
    await archive.replace('newest', Buffer.from('two'), NEVER);
    expect((await archive.read('newest', NEVER))?.toString()).toBe('two');
    expect(await archive.read('nothing', NEVER)).toBeUndefined();
  });

  it('A3 never writes over what is there: other bytes under a name are told', async () => {
    await archive.keep('name', BYTES, NEVER);
    await expect(archive.keep('name', Buffer.from('else'), NEVER)).rejects.toMatchObject({
      code: 'ERR_ARCHIVE',
      message: expect.stringContaining('something else under that name'),
    });
    expect(s3.objects.get('remit trail/a+b/name')?.bytes.equals(BYTES)).toBe(true);
  });

  it('a bucket that is not there is no empty one, and a page that says 404 is no answer of a bucket', async () => {
    await expect(archiveWith({ bucket: 'nowhere' }).read('newest', NEVER)).rejects.toThrow('404 NoSuchBucket');
    s3.troubles.push({ at: /./, how: 404 });
    await expect(archive.read('newest', NEVER)).rejects.toThrow('answered 404');
  });

  it('an answer that is lost is known at the next try as what is there', async () => {
    s3.troubles.push({ at: /^PUT .*name$/, how: 'lose', times: 1 });
    await expect(archive.keep('name', BYTES, NEVER)).rejects.toMatchObject({ code: 'ERR_ARCHIVE' });
    expect(await archive.keep('name', BYTES, NEVER)).toBe('there');
  });

  it('a bucket that refuses is told in its own word, with no secret', async () => {
    for (const [status, word] of [
      [403, 'answered 403 AccessDenied'],
      [503, 'answered 503 SlowDown'],
    ] as const) {
      s3.troubles.splice(0, 1, { at: /./, how: status });
      for (const ask of [
        () => archive.keep('name', BYTES, NEVER),
        () => archive.replace('name', BYTES, NEVER),
        () => archive.read('name', NEVER),
      ]) {
        const error = await (ask() as Promise<unknown>).catch((fault: Error) => fault);
        expect(error).toMatchObject({ code: 'ERR_ARCHIVE', message: expect.stringContaining(word) });
        expect(JSON.stringify(error) + String(error)).not.toContain(FAKE_S3_KEY.secretAccessKey);
      }
    }
  });

  it('one that never answers is given up when the signal says so', async () => {
    s3.troubles.push({ at: /./, how: 'hang' });
    await expect(archive.keep('name', BYTES, AbortSignal.timeout(50))).rejects.toMatchObject({ code: 'ERR_ARCHIVE' });
  });

  it('a wrong secret, a wrong region and a clock that is off are refused by the fake, which signs for itself', async () => {
    await expect(archiveWith({ secret: 'wrong' }).keep('x', BYTES, NEVER)).rejects.toThrow('SignatureDoesNotMatch');
    await expect(archiveWith({ region: 'us-east-1' }).keep('x', BYTES, NEVER)).rejects.toThrow('SignatureDoesNotMatch');
    const late = archiveWith({ clock: () => Date.now() - 3_600_000 });
    await expect(late.keep('x', BYTES, NEVER)).rejects.toThrow('SignatureDoesNotMatch');
    expect(s3.forged).toEqual(['another signature', 'another scope', 'another time']);
    expect(s3.objects.size).toBe(0);
  });

  it('an address that credentials must not go to is refused before anything is sent', async () => {
    expect(() => archiveWith({ endpoint: 'http://storage.example' })).toThrow('is not reached over https');
    const metadata = archiveWith({ endpoint: 'https://169.254.169.254' });
    await expect(metadata.keep('x', BYTES, NEVER)).rejects.toMatchObject({ code: 'ERR_ARCHIVE' });
  });
});
