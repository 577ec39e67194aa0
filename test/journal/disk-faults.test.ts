import { spawn } from 'node:child_process';
import { write } from 'node:fs';
import { copyFile, mkdir, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { WriteBytes } from '../../src/adapters/journal/append-file.ts';
import { verifyJournal } from '../../src/adapters/journal/verify-journal.ts';
import { suitePayload } from './append-payload.ts';
import { APPENDER, makeFolder, openTestJournal, readAll, removeFolder, writeJournal } from './journal-fixture.ts';

describe('A3 a disk that fails', () => {
  let folder: string;
  let logPath: string;

  beforeEach(async () => {
    folder = await makeFolder();
    logPath = join(folder, '00000000.log');
  });
  afterEach(() => removeFolder(folder));

  /** Real writes, until `answer` says otherwise. */
  function failing(answer: (call: number, length: number) => NodeJS.ErrnoException | number | 'hang' | undefined): {
    write: WriteBytes;
    arm: () => void;
  } {
    let calls = -1;
    return {
      arm: () => {
        calls = 0;
      },
      write: (fd, bytes, offset, length, position, done) => {
        const said = calls < 0 ? undefined : answer(calls++, length);
        if (said === 'hang') return;
        if (said instanceof Error) return done(said, 0);
        write(fd, bytes, offset, said ?? length, position, done);
      },
    };
  }

  const errorOf = (code: string): NodeJS.ErrnoException => Object.assign(new Error(`${code}: it failed`), { code });

  it('goes on after a short write', async () => {
    const disk = failing((call, length) => (call % 3 === 2 ? undefined : Math.ceil(length / 3)));
    const journal = await openTestJournal(folder, { write: disk.write });
    disk.arm();
    for (let number = 0; number < 20; number += 1) await journal.append(suitePayload(number));
    await journal.close();
    expect(await readAll(folder)).toEqual(Array.from({ length: 20 }, (_, index) => suitePayload(index)));
    expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: 20 });
  });

  it.each([
    ['ENOSPC', 'ERR_JOURNAL_FULL'],
    ['EDQUOT', 'ERR_JOURNAL_FULL'],
    ['EFBIG', 'ERR_JOURNAL_FULL'],
    ['EIO', 'ERR_JOURNAL_FAILED'],
    ['EROFS', 'ERR_JOURNAL_FAILED'],
  ])('%s refuses all that wait and all that come (%s), after part of a batch', async (code, expected) => {
    const disk = failing((call) => (call === 0 ? undefined : call === 1 ? 30 : errorOf(code)));
    const journal = await openTestJournal(folder, { write: disk.write });
    disk.arm();
    expect(await journal.append(suitePayload(0))).toBe(0);
    const waiting = [1, 2].map((number) => journal.append(suitePayload(number)));
    // The write of the two is under way then.
    await Promise.resolve();
    waiting.push(journal.append(suitePayload(3)), journal.append(suitePayload(4)));
    const signing = journal.checkpoint();
    for (const each of [...waiting, signing]) await expect(each).rejects.toMatchObject({ code: expected });
    await expect(journal.append(suitePayload(5))).rejects.toMatchObject({ code: expected, hint: expect.any(String) });
    await expect(journal.checkpoint()).rejects.toMatchObject({ code: expected });
    await journal.close();
    const after = await openTestJournal(folder);
    expect(after.size).toBe(1);
    expect(await after.append(suitePayload(1))).toBe(1);
    await after.close();
  });

  it('a checkpoint that cannot be written refuses what comes', async () => {
    const disk = failing((call) => (call === 0 ? undefined : errorOf('EIO')));
    const journal = await openTestJournal(folder, { write: disk.write });
    disk.arm();
    await journal.append(suitePayload(0));
    await expect(journal.checkpoint()).rejects.toMatchObject({ code: 'ERR_JOURNAL_FAILED' });
    await expect(journal.append(suitePayload(1))).rejects.toMatchObject({ code: 'ERR_JOURNAL_FAILED' });
    await journal.close();
    expect((await openThenClose()).size).toBe(1);
  });

  it('a disk that hangs ends in refusals within a bound, and the lock is kept', async () => {
    const due: (() => void)[] = [];
    const disk = failing((call) => (call === 1 ? 'hang' : undefined));
    const journal = await openTestJournal(folder, {
      write: disk.write,
      stallMs: 1000,
      schedule: (ms, task) => {
        if (ms === 1000) due.push(task);
        return () => {};
      },
    });
    disk.arm();
    await journal.append(suitePayload(0));
    const hung = [journal.append(suitePayload(1))];
    await new Promise(setImmediate);
    hung.push(journal.append(suitePayload(2)));
    // A watch that began with an earlier write begins again; the next one finds the write that hangs.
    for (let task = due.shift(); task !== undefined; task = due.shift()) task();
    for (const each of hung) await expect(each).rejects.toMatchObject({ code: 'ERR_JOURNAL_FAILED' });
    await expect(journal.append(suitePayload(3))).rejects.toMatchObject({ code: 'ERR_JOURNAL_FAILED' });
    await journal.close();
    await expect(openTestJournal(folder)).rejects.toMatchObject({ code: 'ERR_ALREADY_RUNNING' });
  });

  it('never calls a slow disk hung while writes come back', async () => {
    const due: (() => void)[] = [];
    const journal = await openTestJournal(folder, {
      stallMs: 1000,
      schedule: (ms, task) => {
        if (ms === 1000) due.push(task);
        return () => {};
      },
    });
    due.length = 0;
    await journal.append(suitePayload(0));
    for (let number = 1; number < 50; number += 1) {
      const appended = journal.append(suitePayload(number));
      await new Promise(setImmediate);
      for (const task of due.splice(0)) task();
      await appended;
    }
    await journal.close();
    expect((await readAll(folder)).length).toBe(50);
  });

  it('A3 notices within a bound that a log was deleted: at the first write after it, not at each', async () => {
    const due: (() => void)[] = [];
    const journal = await openTestJournal(folder, {
      checkMs: 77,
      schedule: (ms, task) => {
        if (ms === 77) due.push(task);
        return () => {};
      },
    });
    await journal.append(suitePayload(0));
    await rm(logPath);
    expect(await journal.append(suitePayload(1))).toBe(1);
    for (const task of due.splice(0)) task();
    await expect(journal.append(suitePayload(2))).rejects.toMatchObject({ code: 'ERR_JOURNAL_FAILED' });
    await journal.close();
  });

  const swaps: [string, () => Promise<unknown>][] = [
    ['deleted', () => rm(logPath)],
    ['moved', () => rename(logPath, `${logPath}.moved`)],
    [
      'replaced by a copy',
      async () => {
        await copyFile(logPath, `${logPath}.copy`);
        await rename(`${logPath}.copy`, logPath);
      },
    ],
    ['cut', () => truncate(logPath, 20)],
    ['written to by somebody else', () => writeFile(logPath, 'more', { flag: 'a' })],
  ];
  it.each(swaps)('a log that is %s refuses the next append', async (_, swap) => {
    const journal = await openTestJournal(folder, { checkMs: 0 });
    await journal.append(suitePayload(0));
    await swap();
    await expect(journal.append(suitePayload(1))).rejects.toMatchObject({ code: 'ERR_JOURNAL_FAILED' });
    await expect(journal.append(suitePayload(2))).rejects.toMatchObject({ code: 'ERR_JOURNAL_FAILED' });
    await journal.close();
  });

  it('a folder that cannot be made or read is ERR_JOURNAL_FAILED', async () => {
    await writeJournal(folder, []);
    const inFile = join(logPath, 'inner');
    await expect(openTestJournal(inFile)).rejects.toMatchObject({
      code: 'ERR_JOURNAL_FAILED',
      where: inFile,
      hint: expect.stringContaining('start it again'),
    });
    await rm(logPath);
    await mkdir(logPath);
    await expect(openTestJournal(folder)).rejects.toMatchObject({ code: 'ERR_JOURNAL_FAILED' });
    await expect(readAll(folder)).rejects.toMatchObject({ code: 'ERR_JOURNAL_FAILED' });
  });

  it('a full disk (a limit on file sizes) is ERR_JOURNAL_FULL, and what was acknowledged is there', {
    timeout: 60_000,
  }, async () => {
    // In units of 1,024 bytes. The process gets EFBIG in the middle of a frame, as it would get ENOSPC.
    const script = 'ulimit -f 1024 && exec "$@"';
    const child = spawn('bash', ['-c', script, 'bash', process.execPath, ...APPENDER, folder]);
    let [output, complaint] = ['', ''];
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      complaint += chunk;
    });
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect(complaint).toMatch(/^ERR_JOURNAL_FULL: /);
    expect(code).toBe(1);
    expect((await stat(logPath)).size).toBeLessThanOrEqual(1024 * 1024);
    const acknowledged = output.trim().split('\n').map(Number);
    const journal = await openTestJournal(folder);
    const stored = await readAll(folder);
    expect(acknowledged.length).toBeGreaterThan(1_000);
    for (const position of acknowledged) expect(stored[position]).toEqual(suitePayload(position));
    expect(await journal.append(suitePayload(journal.size))).toBe(stored.length);
    await journal.close();
    expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: stored.length + 1 });
  });

  async function openThenClose(): Promise<{ size: number }> {
    const journal = await openTestJournal(folder);
    await journal.close();
    return { size: journal.size };
  }
});
