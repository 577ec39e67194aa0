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
      write: (fd, bytes, offset, length, position, done) => {
        lengths.push(length);
        write(fd, bytes, offset, length, position, done);
      },
    });
    lengths.length = 0;
    const payload = Buffer.alloc(88);
    await Promise.all([journal.append(payload), journal.append(payload), journal.append(payload)]);
    // Whole blocks, whatever is new in them.
    expect(lengths).toEqual([4096]);
    const first = journal.append(payload);
    await new Promise(setImmediate);
    const later = [journal.append(payload), journal.append(payload)];
    await Promise.all([first, ...later]);
    expect(lengths).toEqual([4096, 4096, 4096]);
    await journal.close();
    expect((await readAll(folder)).length).toBe(6);
  });

  it('writes what one caller at a time appends at once, without a turn of the event loop', async () => {
    let writes = 0;
    const journal = await openTestJournal(folder, {
      write: (fd, bytes, offset, length, position, done) => {
        writes += 1;
        write(fd, bytes, offset, length, position, done);
      },
    });
    writes = 0;
    for (let round = 1; round <= 3; round += 1) {
      const appended = journal.append('x');
      await Promise.resolve();
      expect(writes).toBe(round);
      await appended;
    }
    await journal.close();
  });

  it('lets a batch fill while calls keep coming, turn by turn of the event loop, and no longer', async () => {
    const lengths: number[] = [];
    const journal = await openTestJournal(folder, {
      write: (fd, bytes, offset, length, position, done) => {
        lengths.push(length);
        write(fd, bytes, offset, length, position, done);
      },
    });
    const payload = Buffer.alloc(88);
    // Two at a time have come: from now on more are expected.
    await Promise.all([journal.append(payload), journal.append(payload)]);
    lengths.length = 0;
    const appended = [journal.append(payload), journal.append(payload)];
    for (let turn = 0; turn < 5; turn += 1) {
      await new Promise(setImmediate);
      appended.push(journal.append(payload));
    }
    expect(lengths).toEqual([]);
    await Promise.all(appended);
    expect(lengths).toEqual([4096]);
    await journal.close();
  });

  describe('what nobody waits for', () => {
    const unexpected = (fault: Error): never => {
      throw fault;
    };

    /** A journal whose timers the test fires, and the lengths that it wrote. */
    async function openWithTimers() {
      const lengths: number[] = [];
      const due: (() => void)[] = [];
      const journal = await openTestJournal(folder, {
        write: (fd, bytes, offset, length, position, done) => {
          lengths.push(length);
          write(fd, bytes, offset, length, position, done);
        },
        schedule: (ms, task) => {
          // Others watch for a disk that hangs.
          if (ms === 10) due.push(task);
          return () => void due.splice(due.indexOf(task) >>> 0, 1);
        },
      });
      lengths.length = 0;
      return { journal, lengths, due };
    }
    const turns = async (): Promise<void> => {
      for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
    };

    it('A1 rides with the next record that somebody waits for, in order, and costs no write of its own', async () => {
      const { journal, lengths } = await openWithTimers();
      journal.appendLater('a', unexpected);
      journal.appendLater('b', unexpected);
      await turns();
      expect(lengths).toEqual([]);
      expect(await journal.append('c')).toBe(2);
      expect(lengths).toEqual([4096]);
      await journal.close();
      expect((await readAll(folder)).map(String)).toEqual(['a', 'b', 'c']);
    });

    it('A1 is durable within 20 ms without one: a timer fires at 10 ms, and once more for what came after a write', async () => {
      const { journal, lengths, due } = await openWithTimers();
      journal.appendLater('a', unexpected);
      expect(due).toHaveLength(1);
      await journal.append('b');
      journal.appendLater('c', unexpected);
      // The timer is as old as `a`, which has been written: `c` gets its own 10 ms, and no timer is there twice.
      due.shift()?.();
      await turns();
      expect(lengths).toEqual([4096]);
      due.shift()?.();
      await turns();
      expect(lengths).toEqual([4096, 4096]);
      expect(due).toEqual([]);
      await journal.close();
      expect((await readAll(folder)).map(String)).toEqual(['a', 'b', 'c']);
    });

    it('A1 is covered by a checkpoint, and by the one at the close', async () => {
      const { journal } = await openWithTimers();
      journal.appendLater('a', unexpected);
      await journal.checkpoint();
      expect((await checkpointSizes(folder)).at(-1)).toBe(1);
      journal.appendLater('é', unexpected);
      await journal.close();
      expect((await readAll(folder)).map(String)).toEqual(['a', 'é']);
      expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: 2, signedSize: 2 });
    });

    it('A3 tells of a disk that fails, of a closed journal and of a record that is too large', async () => {
      const journal = await openTestJournal(folder, { checkMs: 0 });
      const faults: string[] = [];
      const note = (fault: { code: string }): void => {
        faults.push(fault.code);
      };
      journal.appendLater(Buffer.alloc(16 * 1024 * 1024 + 1), note);
      expect(faults).toEqual(['ERR_JOURNAL_FAILED']);
      journal.appendLater('a', note);
      await rm(logPath);
      await expect(journal.append('b')).rejects.toMatchObject({ code: 'ERR_JOURNAL_FAILED' });
      expect(faults).toHaveLength(2);
      journal.appendLater('c', note);
      expect(faults).toHaveLength(3);
      await journal.close();
      journal.appendLater('d', note);
      expect(faults).toEqual(Array.from({ length: 4 }, () => 'ERR_JOURNAL_FAILED'));
    });
  });

  it('stores a text as its UTF-8, whatever its letters', async () => {
    const texts = ['', 'plain', 'ü€😀', '\ud800 alone', 'x'.repeat(70_000), '€'.repeat(70_000)];
    const journal = await openTestJournal(folder);
    await Promise.all(texts.map((text) => journal.append(text)));
    await journal.close();
    expect((await readAll(folder)).map(String)).toEqual(texts.map((text) => String(Buffer.from(text))));
    expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: texts.length });
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
    const end = 4096 + [0, 1, 2, 3].reduce((sum, number) => sum + 16 + suitePayload(number).length, 0);
    await truncate(logPath, end - 1);
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
    const FRAME = 16 + 8;
    const FRAMES_END = 4096 + 6 * FRAME;

    it('truncates an incomplete last frame, wherever it was cut, and nothing else', async () => {
      const log = await crashed();
      const signedEnd = 4096 + 4 * FRAME;
      for (let length = signedEnd; length < FRAMES_END; length += 1) {
        // Cut in the room that was made for it, and, every other time, with the file.
        const kept =
          length % 2 === 0
            ? Buffer.concat([log.subarray(0, length), Buffer.alloc(log.length - length)])
            : log.subarray(0, length);
        await writeFile(logPath, kept);
        const warnings: object[] = [];
        const journal = await openTestJournal(folder, { log: { warn: (fields) => warnings.push(fields) } });
        const whole = Math.floor((length - 4096) / FRAME);
        expect(journal.size).toBe(whole);
        const end = 4096 + whole * FRAME;
        expect((await readFile(logPath)).subarray(end).every((byte) => byte === 0)).toBe(true);
        // Zeros at the end of what was written are no trace of it.
        const removed = log.subarray(end, length).findLastIndex((byte) => byte !== 0) + 1;
        expect(warnings).toEqual(removed === 0 ? [] : [{ file: logPath, length: end, removed }]);
        // Put back what closing signs, so that the next cut is judged against four records again.
        const checkpoints = await readFile(join(folder, 'checkpoints'));
        await journal.close();
        await writeFile(join(folder, 'checkpoints'), checkpoints);
      }
    });

    it('goes on after a truncation and verifies', async () => {
      const log = await crashed();
      await writeFile(logPath, log.subarray(0, FRAMES_END - 3));
      const journal = await openTestJournal(folder);
      expect(await journal.append(Buffer.from('after'))).toBe(5);
      await journal.close();
      expect(await readAll(folder)).toEqual([...payloads.slice(0, 5), Buffer.from('after')]);
      expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: 6, incompleteBytes: 0 });
    });

    it('throws for every other changed byte, says where, and changes nothing', { timeout: 120_000 }, async () => {
      const log = await crashed();
      const offsets = [0, 15, 16, 23, 31, 35, 36, 1000, 4095];
      for (let offset = 4096; offset < FRAMES_END; offset += offset > FRAMES_END - 2 * FRAME ? 1 : 5)
        offsets.push(offset);
      for (const offset of offsets) {
        const changed = Buffer.from(log);
        changed[offset] = (changed[offset] as number) ^ 0x01;
        await writeFile(logPath, changed);
        const record = offset < 4096 ? 0 : Math.floor((offset - 4096) / FRAME);
        const byte = offset < 4096 ? 0 : 4096 + record * FRAME;
        await expect(openTestJournal(folder), `byte ${offset}`).rejects.toMatchObject({
          code: 'ERR_JOURNAL_DAMAGED',
          where: `${logPath}, byte ${byte}, record ${record}`,
          hint: expect.stringContaining('remit audit verify'),
        });
        expect((await readFile(logPath)).equals(changed)).toBe(true);
      }
    });

    it('throws for a log that is shorter than its last checkpoint', async () => {
      const log = await crashed();
      for (const length of [0, 7, 16, 4096, 4096 + FRAME, 4096 + 4 * FRAME - 1]) {
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
      for (const made of [
        [],
        [Buffer.alloc(5)],
        [Buffer.alloc(8192)],
        [log],
        [log, checkpoints.subarray(0, 60)],
        [log, checkpoints],
      ]) {
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
      await writeFile(logPath, log.subarray(0, 4096 + 20));
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
