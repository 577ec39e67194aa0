import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EMPTY_KRL, isOver, readKrl, serialOf, writeKrl } from '../../src/adapters/issuers/ssh-krl.ts';
import { createKrlFile } from '../../src/adapters/issuers/ssh-krl-file.ts';
import { text, uint64 } from '../../src/adapters/issuers/ssh-wire.ts';

const NOW = 1_800_000_000_000;
const CA = Buffer.concat([text('ssh-ed25519'), text(Buffer.alloc(32, 1))]);
const OTHER = Buffer.concat([text('ssh-ed25519'), text(Buffer.alloc(32, 2))]);
const serial = (end: number, hash = 7) => serialOf(end, Buffer.from([0, 0, 0, hash]));
const fresh = (hash: number) => serial(NOW / 1000 + 300, hash);
const signal = () => AbortSignal.timeout(5_000);

describe('a list of revoked certificates', () => {
  it('is read as it was written', () => {
    const krl = { ...EMPTY_KRL, version: 3n, comment: Buffer.from('c'), serials: new Set([5n, fresh(1)]) };
    expect(readKrl(writeKrl(krl, CA, NOW), CA)).toEqual(krl);
    expect(readKrl(writeKrl(EMPTY_KRL, CA, NOW), CA)).toEqual(EMPTY_KRL);
  });

  it('keeps other authorities’ entries, and of its own what it does not write itself', () => {
    const range = { type: 0x21, data: Buffer.concat([uint64(100n), uint64(200n)]) };
    const theirs = readKrl(writeKrl({ ...EMPTY_KRL, serials: new Set([9n]) }, OTHER, NOW), CA);
    expect(theirs.others).toHaveLength(1);
    const key = { type: 2, data: text('a key') };
    const krl = { ...theirs, ours: [range], serials: new Set([fresh(1)]), others: [...theirs.others, key] };
    const again = readKrl(writeKrl(krl, CA, NOW), CA);
    expect(again).toEqual(krl);
    expect(readKrl(writeKrl(krl, CA, NOW), OTHER).serials).toEqual(new Set([9n]));
  });

  it.each([
    ['another file', Buffer.from('-----BEGIN OPENSSH PRIVATE KEY-----')],
    ['nothing', Buffer.alloc(0)],
    ['one cut short', writeKrl({ ...EMPTY_KRL, serials: new Set([5n]) }, CA, NOW).subarray(0, -3)],
    ['a signed one', Buffer.concat([writeKrl(EMPTY_KRL, CA, NOW), Buffer.from([4]), text('signature')])],
  ])('is not taken out of %s', (_, bytes) => {
    expect(() => readKrl(bytes, CA)).toThrow();
  });

  it('numbers a certificate by its end, and forgets it a minute later; what people number, never', () => {
    expect(isOver(serial(NOW / 1000 - 61), NOW)).toBe(true);
    expect(isOver(serial(NOW / 1000 - 60), NOW)).toBe(false);
    for (const number of [0n, 1n, 4_294_967_296n, 1_699_999_999n << 32n]) expect(isOver(number, NOW)).toBe(false);
  });
});

describe('the file that servers read', () => {
  let folder: string;
  let file: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'remit-krl-'));
    file = join(folder, 'revoked');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const open = () => createKrlFile({ file, clock: () => NOW });
  const listed = async () => readKrl(await readFile(file), CA);

  it('is made where it is missing, before the first certificate is', async () => {
    await open().prepare(CA, signal());
    expect(await listed()).toMatchObject({ version: 1n, serials: new Set() });
    await open().prepare(CA, signal());
    expect((await listed()).version).toBe(1n);
  });

  it('L4 has the entries of all who write at once, and leaves nothing beside it', async () => {
    const writers = Array.from({ length: 6 }, open);
    const serials = Array.from({ length: 60 }, (_, at) => fresh(at));
    await Promise.all(serials.map((one, at) => writers[at % 6]?.revoke(CA, [one], signal())));
    expect((await listed()).serials).toEqual(new Set(serials));
    expect(await readdir(folder)).toEqual(['revoked']);
  });

  it('L4 takes along what waits: many revokes of one gateway are a few writes', async () => {
    const krl = open();
    await Promise.all(Array.from({ length: 50 }, (_, at) => krl.revoke(CA, [fresh(at)], signal())));
    expect((await listed()).version).toBeLessThanOrEqual(2n);
    await krl.revoke(CA, [fresh(1)], signal());
    expect((await listed()).version).toBeLessThanOrEqual(2n);
  });

  it('forgets what has ended, and writes nothing for it', async () => {
    const old = serial(NOW / 1000 - 100);
    await writeFile(file, writeKrl({ ...EMPTY_KRL, serials: new Set([old, 5n]) }, CA, NOW));
    await open().revoke(CA, [serial(NOW / 1000 - 90)], signal());
    expect((await listed()).serials).toEqual(new Set([old, 5n]));
    await open().revoke(CA, [fresh(1)], signal());
    expect((await listed()).serials).toEqual(new Set([5n, fresh(1)]));
  });

  it('L4 takes over a lock that a process left which died, and waits for one that works', async () => {
    const lock = `${file}.lock`;
    await writeFile(lock, 'somebody');
    await expect(open().revoke(CA, [fresh(1)], AbortSignal.abort())).rejects.toThrow();
    const waiting = open().revoke(CA, [fresh(2)], signal());
    expect(
      await Promise.race([waiting.then(() => 'done'), new Promise((resolve) => setImmediate(resolve, 'waits'))]),
    ).toBe('waits');
    const long = new Date(Date.now() - 60_000);
    await utimes(lock, long, long);
    await waiting;
    expect((await listed()).serials).toContain(fresh(2));
    expect(await readdir(folder)).toEqual(['revoked']);
  });

  it.each([
    ['is no list', async () => writeFile(file, 'precious')],
    ['is a folder that is missing', async () => rm(folder, { recursive: true })],
  ])('L4 fails where it %s, and harms nothing', async (_, spoil) => {
    await spoil();
    await expect(open().revoke(CA, [fresh(1)], signal())).rejects.toThrow();
    await expect(open().prepare(CA, signal())).rejects.toThrow();
    const left = await readFile(file, 'utf8').catch(() => 'nothing');
    expect(['precious', 'nothing']).toContain(left);
  });

  it('L4 what it could not enter is part of the next write', async () => {
    const krl = open();
    await writeFile(file, 'precious');
    await expect(krl.revoke(CA, [fresh(1)], signal())).rejects.toThrow();
    await rm(file);
    await krl.revoke(CA, [fresh(2)], signal());
    expect((await listed()).serials).toEqual(new Set([fresh(1), fresh(2)]));
  });
});
