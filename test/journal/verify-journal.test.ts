import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ed25519Signer } from '../../src/adapters/journal/ed25519-signer.ts';
import { type Verification, verifyJournal } from '../../src/adapters/journal/verify-journal.ts';
import { makeFolder, ORIGIN, openTestJournal, removeFolder, writeJournal } from './journal-fixture.ts';

const FILES = ['00000000.log', 'checkpoints', 'verifier.key'] as const;
const PAYLOADS = Array.from({ length: 13 }, (_, index) =>
  Buffer.from(`{"record":${index},"who":"agent-${index % 3}"}`),
);

/** Where the frames end in a segment. */
const FRAMES_END = PAYLOADS.reduce((end, payload) => end + 16 + payload.length, 4096);

describe('verifyJournal', () => {
  let folder: string;
  let sound: Record<(typeof FILES)[number], Buffer>;

  const put = (name: (typeof FILES)[number], bytes: Buffer): Promise<void> => writeFile(join(folder, name), bytes);

  beforeAll(async () => {
    folder = await makeFolder();
    await writeJournal(folder, PAYLOADS, { checkpointEvery: 5 });
    const [log, checkpoints, key] = await Promise.all(FILES.map((name) => readFile(join(folder, name))));
    // Without the room for more, which is zeros.
    sound = {
      '00000000.log': (log as Buffer).subarray(0, FRAMES_END),
      checkpoints: checkpoints as Buffer,
      'verifier.key': key as Buffer,
    };
  });
  beforeEach(async () => {
    for (const name of FILES) await put(name, sound[name]);
  });
  afterAll(() => removeFolder(folder));

  it('A4 passes a journal as it was written, with nothing but its public key', async () => {
    const expected = {
      ok: true,
      size: 13,
      checkpoints: 4,
      signedSize: 13,
      incompleteBytes: 0,
      segments: 1,
      removedSegments: 0,
      firstRecord: 0,
      isPart: false,
    };
    expect(await verifyJournal(folder)).toEqual(expected);
    const verifierKey = sound['verifier.key'].toString();
    expect(verifierKey).toMatch(/^remit\.example\.org\/audit\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}\n$/);
    expect(await verifyJournal(folder, { verifierKey })).toEqual(expected);
  });

  it('passes an empty journal', async () => {
    const empty = join(folder, 'empty');
    await writeJournal(empty, []);
    expect(await verifyJournal(empty)).toMatchObject({ ok: true, size: 0, checkpoints: 1 });
  });

  it('needs no lock: verifies while a gateway appends', async () => {
    const live = join(folder, 'live');
    const journal = await openTestJournal(live, { checkpointEvery: 3 });
    for (let round = 0; round < 20; round += 1) {
      const appended = PAYLOADS.map((payload) => journal.append(payload));
      expect(await verifyJournal(live)).toMatchObject({ ok: true });
      await Promise.all(appended);
    }
    await journal.close();
    expect(await verifyJournal(live)).toMatchObject({ ok: true, size: 260, signedSize: 260 });
  });

  it.each(FILES)('A4 finds every single changed byte of %s', { timeout: 120_000 }, async (name) => {
    const original = sound[name];
    for (
      let offset = 0;
      offset < original.length;
      offset += name.endsWith('.log') && offset < 4000 && offset > 60 ? 97 : 1
    ) {
      // One bit, the bit between the cases of a letter and of base64's spare bits, and all of them.
      for (const mask of [0x01, 0x20, 0xff]) {
        const changed = Buffer.from(original);
        changed[offset] = (changed[offset] as number) ^ mask;
        await put(name, changed);
        const result = await verifyJournal(folder);
        expect(result, `byte ${offset} ^ ${mask}`).toMatchObject({ ok: false });
        if (!result.ok) expect(result.problem.where.file).toBe(join(folder, name));
      }
    }
  });

  it('A4 finds every single changed byte with any other value, and says which record', async () => {
    const log = sound['00000000.log'];
    const bytes = fc.tuple(fc.integer({ min: 4096, max: log.length - 1 }), fc.integer({ min: 1, max: 255 }));
    await fc.assert(
      fc.asyncProperty(bytes, async ([offset, mask]) => {
        const changed = Buffer.from(log);
        changed[offset] = (changed[offset] as number) ^ mask;
        await put('00000000.log', changed);
        const { index, start } = frameAround(log, offset);
        expect(await verifyJournal(folder)).toMatchObject({
          ok: false,
          problem: { kind: 'frame', where: { offset: start, record: index } },
        });
      }),
      { numRuns: 300 },
    );
  });

  it('A4 finds a log that was cut anywhere, also at a frame', async () => {
    const log = sound['00000000.log'];
    for (let length = 0; length < log.length; length += length < 4000 ? 97 : 1) {
      await put('00000000.log', log.subarray(0, length));
      expect(await verifyJournal(folder), `cut to ${length}`).toMatchObject({ ok: false });
    }
    await put('00000000.log', log.subarray(0, log.length - 1));
    expect(await verifyJournal(folder)).toMatchObject({
      problem: { kind: 'shortened', where: { record: 12 }, what: expect.stringContaining('12 records') },
    });
  });

  it('A4 finds records that were substituted, removed, swapped or added with right checksums, and encloses them', async () => {
    const [first, ...rest] = PAYLOADS as [Buffer, ...Buffer[]];
    const swapped: Buffer[] = [...PAYLOADS];
    [swapped[6], swapped[7]] = [swapped[7] as Buffer, swapped[6] as Buffer];
    const forged: Buffer[] = [...PAYLOADS];
    forged[11] = Buffer.from('{"record":11,"who":"nobody"}');

    await put('00000000.log', framed(swapped));
    expect(problemOf(await verifyJournal(folder))).toMatchObject({
      kind: 'rewritten',
      where: { record: 5 },
      what: expect.stringContaining('sizes 5 and 10'),
    });
    await put('00000000.log', framed(forged));
    expect(problemOf(await verifyJournal(folder))).toMatchObject({
      kind: 'rewritten',
      where: { record: 10, offset: framed(PAYLOADS.slice(0, 10)).length },
      what: expect.stringContaining('sizes 10 and 13'),
    });
    await put('00000000.log', framed([...rest, first]));
    expect(problemOf(await verifyJournal(folder))).toMatchObject({ kind: 'rewritten', where: { record: 0 } });
    await put('00000000.log', framed(rest));
    expect(problemOf(await verifyJournal(folder))).toMatchObject({ kind: 'rewritten', where: { record: 0 } });
    await put('00000000.log', framed([Buffer.from('{}'), ...PAYLOADS]));
    expect(problemOf(await verifyJournal(folder))).toMatchObject({ kind: 'rewritten', where: { record: 0 } });
    await put('00000000.log', framed(PAYLOADS));
    expect(await verifyJournal(folder)).toMatchObject({ ok: true });
  });

  it.each(FILES)('finds that %s is gone', async (name) => {
    await rm(join(folder, name));
    const verifierKey = sound['verifier.key'].toString();
    expect(await verifyJournal(folder, { verifierKey })).toMatchObject({
      ok: false,
      problem: { where: { file: join(folder, name) } },
    });
  });

  it('finds checkpoints that were reordered, repeated or emptied', async () => {
    const text = sound.checkpoints.toString('latin1');
    const notes = text.split(new RegExp(`(?=^${ORIGIN}$)`, 'm'));
    expect(notes).toHaveLength(4);
    const [a, b, c, d] = notes as [string, string, string, string];
    for (const changed of [[a, c, b, d], [a, b, b, c, d], [b, a, c, d], []]) {
      await put('checkpoints', Buffer.from(changed.join(''), 'latin1'));
      expect(await verifyJournal(folder)).toMatchObject({ ok: false, problem: { kind: 'checkpoint' } });
    }
  });

  it('takes a checkpoint whose write was cut short for none, but no other ending', async () => {
    const { checkpoints } = sound;
    const lastStart = checkpoints.lastIndexOf(`${ORIGIN}\n`);
    for (let length = lastStart; length < checkpoints.length; length += 1) {
      await put('checkpoints', checkpoints.subarray(0, length));
      expect(await verifyJournal(folder)).toMatchObject({ ok: true, checkpoints: 3, signedSize: 10 });
    }
    await put('checkpoints', Buffer.concat([checkpoints, Buffer.from('\n'.repeat(300))]));
    expect(await verifyJournal(folder)).toMatchObject({ ok: false, problem: { kind: 'checkpoint' } });
  });

  it('finds a journal that was written anew under another key, when told the right one', async () => {
    const other = join(folder, 'other');
    await writeJournal(other, PAYLOADS, { signer: ed25519Signer(Buffer.alloc(32, 8)) });
    expect(await verifyJournal(other)).toMatchObject({ ok: true });
    const verifierKey = sound['verifier.key'].toString();
    expect(await verifyJournal(other, { verifierKey })).toMatchObject({ ok: false, problem: { kind: 'key' } });
    await copyFile(join(folder, 'verifier.key'), join(other, 'verifier.key'));
    expect(await verifyJournal(other)).toMatchObject({ ok: false, problem: { kind: 'checkpoint' } });
  });

  it('A4 finds log and checkpoints rolled back together, when told a later checkpoint', async () => {
    const text = sound.checkpoints.toString('utf8');
    const anchor = text.slice(text.lastIndexOf(`${ORIGIN}\n`));
    expect(await verifyJournal(folder, { anchor })).toMatchObject({ ok: true });
    const earlier = join(folder, 'earlier');
    await writeJournal(earlier, PAYLOADS.slice(0, 10));
    expect(await verifyJournal(earlier)).toMatchObject({ ok: true, size: 10 });
    expect(await verifyJournal(earlier, { anchor })).toMatchObject({ ok: false, problem: { kind: 'shortened' } });
    const rewritten = join(folder, 'rewritten');
    await writeJournal(rewritten, [...PAYLOADS].reverse());
    expect(await verifyJournal(rewritten, { anchor })).toMatchObject({ ok: false, problem: { kind: 'rewritten' } });
  });

  it('refuses a key or an anchor that is none, and a folder without a journal', async () => {
    await expect(verifyJournal(folder, { verifierKey: 'abc' })).rejects.toMatchObject({ code: 'ERR_USAGE' });
    await expect(verifyJournal(folder, { anchor: 'abc' })).rejects.toMatchObject({ code: 'ERR_USAGE' });
    const nothing = join(folder, 'nothing');
    await mkdir(nothing);
    await expect(verifyJournal(nothing)).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
  });
});

function problemOf(result: Verification): object | undefined {
  return result.ok ? undefined : result.problem;
}

/** A segment as its format says, made without the code under test. */
function framed(payloads: readonly Buffer[]): Buffer {
  const frames = payloads.map((payload, index) => {
    const header = Buffer.alloc(16);
    header.writeUInt32BE(payload.length, 0);
    createHash('sha256').update(Buffer.of(0)).update(payload).digest().copy(header, 4, 0, 4);
    header.writeUInt32BE(index, 8);
    header.writeUInt32BE(crc32(header.subarray(0, 12)), 12);
    return Buffer.concat([header, payload]);
  });
  const first = Buffer.alloc(4096);
  first.write('remit-journal/2\n');
  first.writeUInt32BE(crc32(first.subarray(0, 4092)), 4092);
  return Buffer.concat([first, ...frames]);
}

function frameAround(log: Buffer, offset: number): { index: number; start: number } {
  for (let index = 0, start = 4096; ; index += 1) {
    const end = start + 16 + log.readUInt32BE(start);
    if (offset < end) return { index, start };
    start = end;
  }
}
