import { constants, write } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, readlink, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createJournalReader } from '../../src/adapters/journal/journal-reader.ts';
import { verifyJournal } from '../../src/adapters/journal/verify-journal.ts';
import { journalSuite } from '../suites/journal-suite.ts';
import { suitePayload } from './append-payload.ts';
import {
  APPENDER,
  makeFolder,
  ORIGIN,
  openTestJournal,
  readAll,
  removeFolder,
  testSigner,
  writeJournal,
} from './journal-fixture.ts';

journalSuite('files', async () => {
  const folder = await makeFolder();
  return {
    open: () => openTestJournal(folder, { checkpointEvery: 16 }),
    readStored: () => readAll(folder),
    appenderArguments: [...APPENDER, folder],
    dispose: () => removeFolder(folder),
  };
});

describe('file journal', () => {
  let folder: string;
  let logPath: string;

  beforeEach(async () => {
    folder = await makeFolder();
    logPath = join(folder, '00000000.log');
  });
  afterEach(() => removeFolder(folder));

  it('writes what comes during a write as one batch, without a timer', async () => {
    const lengths: number[] = [];
    const journal = await openTestJournal(folder, {
      write: (fd, bytes, offset, length, done) => {
        lengths.push(length);
        write(fd, bytes, offset, length, null, done);
      },
    });
    lengths.length = 0;
    const payload = Buffer.alloc(88);
    await Promise.all([journal.append(payload), journal.append(payload), journal.append(payload)]);
    expect(lengths).toEqual([300]);
    const first = journal.append(payload);
    await Promise.resolve();
    const later = [journal.append(payload), journal.append(payload)];
    await Promise.all([first, ...later]);
    expect(lengths).toEqual([300, 100, 200]);
    await journal.close();
  });

  it('signs a tree head every so many payloads, on demand and at the end, and none twice', async () => {
    const journal = await openTestJournal(folder, { checkpointEvery: 10 });
    for (let number = 0; number < 25; number += 1) await journal.append(suitePayload(number));
    await journal.checkpoint();
    await Promise.all([journal.checkpoint(), journal.checkpoint()]);
    expect(await checkpointSizes(folder)).toEqual([0, 10, 20, 25]);
    const last = journal.append(suitePayload(25));
    await journal.close();
    await last;
    expect(await checkpointSizes(folder)).toEqual([0, 10, 20, 25, 26]);
    await (await openTestJournal(folder)).close();
    expect(await checkpointSizes(folder)).toEqual([0, 10, 20, 25, 26]);
  });

  it('covers by a checkpoint what was appended before it, also while writes are under way', async () => {
    const journal = await openTestJournal(folder);
    for (let number = 0; number < 100; number += 1) void journal.append(suitePayload(number));
    const signed = journal.checkpoint();
    for (let number = 100; number < 200; number += 1) void journal.append(suitePayload(number));
    await signed;
    expect((await checkpointSizes(folder)).at(-1)).toBe(100);
    await journal.close();
    expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: 200, signedSize: 200 });
  });

  it.runIf(process.platform === 'linux')(
    'A1 has both files open so that a write that came back is durable',
    async () => {
      const journal = await openTestJournal(folder);
      const open: [string, number][] = [];
      for (const fd of await readdir('/proc/self/fd')) {
        const path = await readlink(`/proc/self/fd/${fd}`).catch(() => '');
        const isOurs = path === logPath || path === join(folder, 'checkpoints');
        const flags = isOurs ? await readFile(`/proc/self/fdinfo/${fd}`, 'utf8') : '';
        if (isOurs) open.push([path, Number.parseInt(/^flags:\s+(\d+)$/m.exec(flags)?.[1] ?? '', 8)]);
      }
      expect(open).toHaveLength(2);
      for (const [path, flags] of open) {
        expect(flags & constants.O_DSYNC, path).toBe(constants.O_DSYNC);
        expect(flags & constants.O_APPEND, path).toBe(constants.O_APPEND);
      }
      await journal.close();
    },
  );

  it('keeps its files to their owner', async () => {
    await writeJournal(folder, [suitePayload(1)]);
    for (const name of ['00000000.log', 'checkpoints'])
      expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
    const inner = join(folder, 'made', 'deep');
    await writeJournal(inner, []);
    expect((await stat(inner)).mode & 0o777).toBe(0o700);
  });

  it('refuses a record that is too large without failing', async () => {
    const journal = await openTestJournal(folder);
    await expect(journal.append(Buffer.alloc(16 * 1024 * 1024 + 1))).rejects.toMatchObject({
      code: 'ERR_JOURNAL_FAILED',
    });
    expect(await journal.append(Buffer.alloc(16 * 1024 * 1024, 1))).toBe(0);
    expect(await journal.append(suitePayload(1))).toBe(1);
    await journal.close();
    expect((await readAll(folder)).map((payload) => payload.length)).toEqual([
      16 * 1024 * 1024,
      suitePayload(1).length,
    ]);
  });

  it.each(['', 'with space', 'plus+sign', 'ümlaut', 'new\nline'])('refuses the origin %j', async (origin) => {
    await expect(openTestJournal(folder, { origin })).rejects.toMatchObject({ code: 'ERR_USAGE' });
  });

  it('reads on for a reader without the lock, up to the last whole record', async () => {
    const reader = createJournalReader(folder);
    await expect(reader.read(0).next()).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
    const journal = await openTestJournal(folder);
    const readFrom = async (from: number): Promise<number[]> => {
      const positions: number[] = [];
      for await (const { position, payload } of reader.read(from)) {
        expect(payload).toEqual(suitePayload(position));
        positions.push(position);
      }
      return positions;
    };
    expect(await readFrom(0)).toEqual([]);
    for (let number = 0; number < 3; number += 1) await journal.append(suitePayload(number));
    expect(await readFrom(0)).toEqual([0, 1, 2]);
    await journal.append(suitePayload(3));
    expect(await readFrom(3)).toEqual([3]);
    expect(await readFrom(2)).toEqual([2, 3]);
    await journal.close();
    await truncate(logPath, (await stat(logPath)).size - 1);
    expect(await readFrom(1)).toEqual([1, 2]);
  });

  describe('A4 opening', () => {
    const payloads = Array.from({ length: 6 }, (_, index) => Buffer.from(`record ${index}`));

    /** A journal whose last checkpoint covers 4 of 6 records, as after a crash. */
    async function crashed(): Promise<Buffer> {
      const journal = await openTestJournal(folder, { checkpointEvery: 1000 });
      for (const payload of payloads.slice(0, 4)) await journal.append(payload);
      await journal.checkpoint();
      for (const payload of payloads.slice(4)) await journal.append(payload);
      const [log, checkpoints] = await Promise.all([readFile(logPath), readFile(join(folder, 'checkpoints'))]);
      await journal.close();
      await writeFile(join(folder, 'checkpoints'), checkpoints);
      return log;
    }

    it('truncates an incomplete last frame, wherever it was cut, and nothing else', async () => {
      const log = await crashed();
      const frame = 12 + 8;
      const signedEnd = 16 + 4 * frame;
      for (let length = signedEnd; length < log.length; length += 1) {
        await writeFile(logPath, log.subarray(0, length));
        const warnings: object[] = [];
        const journal = await openTestJournal(folder, { log: { warn: (fields) => warnings.push(fields) } });
        const whole = Math.floor((length - 16) / frame);
        expect(journal.size).toBe(whole);
        expect((await stat(logPath)).size).toBe(16 + whole * frame);
        const removed = (length - 16) % frame;
        expect(warnings).toEqual(removed === 0 ? [] : [{ file: logPath, length: 16 + whole * frame, removed }]);
        // Put back what closing signs, so that the next cut is judged against four records again.
        const checkpoints = await readFile(join(folder, 'checkpoints'));
        await journal.close();
        await writeFile(join(folder, 'checkpoints'), checkpoints);
      }
    });

    it('goes on after a truncation and verifies', async () => {
      const log = await crashed();
      await writeFile(logPath, log.subarray(0, -3));
      const journal = await openTestJournal(folder);
      expect(await journal.append(Buffer.from('after'))).toBe(5);
      await journal.close();
      expect(await readAll(folder)).toEqual([...payloads.slice(0, 5), Buffer.from('after')]);
      expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: 6, incompleteBytes: 0 });
    });

    it('throws for every other changed byte, says where, and changes nothing', async () => {
      const log = await crashed();
      for (let offset = 0; offset < log.length; offset += 1) {
        const changed = Buffer.from(log);
        changed[offset] = (changed[offset] as number) ^ 0x01;
        await writeFile(logPath, changed);
        const record = offset < 16 ? 0 : Math.floor((offset - 16) / 20);
        const byte = offset < 16 ? 0 : 16 + record * 20;
        await expect(openTestJournal(folder), `byte ${offset}`).rejects.toMatchObject({
          code: 'ERR_JOURNAL_DAMAGED',
          where: `${logPath}, byte ${byte}, record ${record}`,
          hint: expect.stringContaining('remit audit verify'),
        });
        expect(await readFile(logPath)).toEqual(changed);
      }
    });

    it('throws for a log that is shorter than its last checkpoint', async () => {
      const log = await crashed();
      for (const length of [0, 7, 16, 16 + 20, 16 + 4 * 20 - 1]) {
        await writeFile(logPath, log.subarray(0, length));
        await expect(openTestJournal(folder)).rejects.toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
      }
    });

    it.each(['00000000.log', 'checkpoints', 'verifier.key'])('throws when %s is gone', async (name) => {
      await crashed();
      await rm(join(folder, name));
      await expect(openTestJournal(folder)).rejects.toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
    });

    it('throws for another key or origin', async () => {
      await crashed();
      const signer = { ...testSigner, publicKey: Buffer.alloc(32, 9) };
      await expect(openTestJournal(folder, { signer })).rejects.toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
      const origin = `${ORIGIN}2`;
      await expect(openTestJournal(folder, { origin })).rejects.toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
    });

    it('throws when log and checkpoints were rolled back together behind a checkpoint kept elsewhere', async () => {
      await writeJournal(folder, payloads.slice(0, 2));
      const copy = `${folder}/copy`;
      await mkdir(copy);
      for (const name of ['00000000.log', 'checkpoints', 'verifier.key']) {
        await copyFile(join(folder, name), join(copy, name));
      }
      await writeJournal(folder, payloads.slice(2));
      const anchor = lastNote(await readFile(join(folder, 'checkpoints'), 'utf8'));
      await writeJournal(folder, [], { anchor });
      await writeJournal(copy, []);
      await expect(openTestJournal(copy, { anchor })).rejects.toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
    });

    it('makes a journal whole whose making was interrupted', async () => {
      await writeJournal(folder, []);
      const [log, checkpoints] = await Promise.all([readFile(logPath), readFile(join(folder, 'checkpoints'))]);
      for (const made of [[], [log.subarray(0, 5)], [log], [log, checkpoints.subarray(0, 60)], [log, checkpoints]]) {
        const inner = await makeFolder();
        if (made[0] !== undefined) await writeFile(join(inner, '00000000.log'), made[0]);
        if (made[1] !== undefined) await writeFile(join(inner, 'checkpoints'), made[1]);
        await writeJournal(inner, payloads);
        expect(await verifyJournal(inner)).toMatchObject({ ok: true, size: 6 });
        await removeFolder(inner);
      }
    });

    it('releases the lock when it throws', async () => {
      const log = await crashed();
      await writeFile(logPath, log.subarray(0, 20));
      await expect(openTestJournal(folder)).rejects.toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
      await writeFile(logPath, log);
      await (await openTestJournal(folder)).close();
    });
  });
});

async function checkpointSizes(folder: string): Promise<number[]> {
  const text = await readFile(join(folder, 'checkpoints'), 'utf8');
  return [...text.matchAll(/^remit\.example\.org\/audit\n(\d+)\n/gm)].map((match) => Number(match[1]));
}

function lastNote(text: string): string {
  return text.slice(text.lastIndexOf(`\n${ORIGIN}\n`) + 1);
}
