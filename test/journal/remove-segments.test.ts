import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createJournalReader } from '../../src/adapters/journal/journal-reader.ts';
import { verifyJournal } from '../../src/adapters/journal/verify-journal.ts';
import type { SegmentRemoval } from '../../src/seams/journal.ts';
import { suitePayload } from './append-payload.ts';
import { makeFolder, openTestJournal, readAll, removeFolder } from './journal-fixture.ts';

const SMALL = { segmentBytes: 16 * 1024, checkpointEvery: 1000 };
const nothing = async (): Promise<void> => {};

describe('removing segments', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await makeFolder();
  });
  afterEach(() => removeFolder(folder));

  const files = async (ending: string): Promise<string[]> =>
    (await readdir(folder)).filter((name) => name.endsWith(ending)).sort();

  type Opened = Awaited<ReturnType<typeof openTestJournal>>;

  async function fill(journal: Opened, count: number): Promise<void> {
    for (let done = 0; done < count; done += 10) {
      await Promise.all(Array.from({ length: 10 }, () => journal.append(suitePayload(journal.size))));
    }
  }

  it('A4 removes whole closed segments only, oldest first; everything after them still verifies, also after a restart', async () => {
    const journal = await openTestJournal(folder, SMALL);
    await fill(journal, 300);
    await journal.checkpoint();
    const before = await journal.segments();
    expect(before.length).toBeGreaterThan(5);
    const third = before[2] as (typeof before)[number];
    const announced: SegmentRemoval[] = [];
    // In the middle of the third: only the two before it are whole.
    const removed = await journal.removeBefore(third.first + 1, async (removal) => {
      announced.push(removal);
      expect((await files('.log')).length).toBeGreaterThanOrEqual(before.length);
      await journal.append(Buffer.from('announced'));
    });
    expect(announced).toEqual([removed]);
    expect(removed).toMatchObject({ first: 0, end: third.first, segments: 2 });
    expect(await journal.segments()).toMatchObject([
      { first: third.first },
      ...before.slice(3, -1).map(({ first }) => ({ first })),
      {},
    ]);
    const kept = await readAll(folder);
    expect(kept.length).toBe(301 - third.first);
    await fill(journal, 10);
    await journal.close();
    expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: 311, removedSegments: 2 });
    const again = await openTestJournal(folder, SMALL);
    await fill(again, 10);
    await again.close();
    expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: 321, removedSegments: 2 });
  });

  it('A4 never removes the segment that is written to, nor what no signature covers', async () => {
    const journal = await openTestJournal(folder, { ...SMALL, checkpointEvery: 1_000_000, checkpointMs: 1_000_000 });
    expect(await journal.removeBefore(Number.MAX_SAFE_INTEGER, nothing)).toBeUndefined();
    await fill(journal, 30);
    expect((await journal.segments()).length).toBe(1);
    await journal.checkpoint();
    expect(await journal.removeBefore(Number.MAX_SAFE_INTEGER, nothing)).toBeUndefined();
    await journal.close();
  });

  it('A4 keeps everything when the removal cannot be announced', async () => {
    const journal = await openTestJournal(folder, SMALL);
    await fill(journal, 200);
    const before = await files('.log');
    await expect(
      journal.removeBefore(Number.MAX_SAFE_INTEGER, () => Promise.reject(new Error('not on the record'))),
    ).rejects.toThrow('not on the record');
    expect(await files('.log')).toEqual(before);
    await journal.close();
  });

  it('A4 refuses to remove a segment whose leaf hashes are not its own, and makes those that a crash left out', async () => {
    const journal = await openTestJournal(folder, SMALL);
    await fill(journal, 200);
    await journal.close();
    const path = join(folder, '00000000.leaves');
    const leaves = await readFile(path);
    const changed = Buffer.from(leaves);
    changed[40] = (changed[40] as number) ^ 1;
    await writeFile(path, changed);
    const opened = await openTestJournal(folder, SMALL);
    await expect(opened.removeBefore(Number.MAX_SAFE_INTEGER, nothing)).rejects.toMatchObject({
      code: 'ERR_JOURNAL_DAMAGED',
      where: expect.stringContaining('00000000.leaves'),
    });
    expect(await files('.log')).toContain('00000000.log');
    await rm(path);
    expect(await opened.removeBefore(Number.MAX_SAFE_INTEGER, nothing)).toMatchObject({ first: 0 });
    expect(await readFile(path)).toEqual(leaves);
    await opened.close();
    expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: 200 });
  });

  it('A4 kill −9 between the record and the removal, and in the middle of it: nothing is lost that was not announced, and it is finished', async () => {
    const script = fileURLToPath(new URL('announce-and-wait.ts', import.meta.url));
    const child = spawn(process.execPath, ['--import', 'tsx', script, folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const closed = once(child, 'close');
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    child.kill('SIGKILL');
    await closed;
    const end = Number(line.toString());
    expect(end).toBeGreaterThan(50);
    expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: 201, removedSegments: 0, firstRecord: 0 });
    expect(await readAll(folder)).toHaveLength(201);
    // As a kill after the first of several leaves it.
    await rm(join(folder, '00000000.log'));
    const journal = await openTestJournal(folder, SMALL);
    expect(await journal.removeBefore(end, nothing)).toMatchObject({ end });
    await journal.close();
    expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: 201, firstRecord: end });
    expect((await readAll(folder)).at(-1)?.toString()).toBe(`announced ${end}`);
  });

  it('a reader that is under way goes on over what is removed meanwhile', async () => {
    const journal = await openTestJournal(folder, SMALL);
    await fill(journal, 200);
    const [oldest] = (await journal.segments()) as unknown as [{ end: number }];
    const positions: number[] = [];
    for await (const { position } of createJournalReader(folder).read(0)) {
      if (position === 0) await journal.removeBefore(Number.MAX_SAFE_INTEGER, nothing);
      positions.push(position);
    }
    const [current] = (await journal.segments()) as unknown as [{ first: number }];
    expect(current.first).toBeGreaterThan(oldest.end);
    const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);
    expect(positions).toEqual([...range(0, oldest.end), ...range(current.first, 200)]);
    await journal.close();
  });

  it('a segment can be ended before it is full, is cut to its length, and an empty one is not ended', async () => {
    let begun = 0;
    const journal = await openTestJournal(folder, { onSegment: () => (begun += 1) });
    journal.endSegment();
    await journal.append(suitePayload(0));
    await journal.append(suitePayload(1));
    expect(begun).toBe(0);
    journal.endSegment();
    await Promise.all([journal.append(suitePayload(2)), journal.append(suitePayload(3))]);
    expect(begun).toBe(1);
    journal.endSegment();
    journal.endSegment();
    await journal.append(suitePayload(4));
    // It is cut beside what is written on.
    await expect
      .poll(() => journal.segments())
      .toMatchObject([
        { first: 0, end: 2, bytes: 8192 },
        { first: 2, end: 4 },
        { first: 4, end: 5 },
      ]);
    await journal.close();
    expect((await stat(join(folder, '00000001.log'))).size).toBe(8192);
    expect(await readAll(folder)).toEqual(Array.from({ length: 5 }, (_, index) => suitePayload(index)));
    expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: 5, segments: 3 });
  });
});
