import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createJournalReader } from '../../src/adapters/journal/journal-reader.ts';
import { verifyJournal } from '../../src/adapters/journal/verify-journal.ts';
import { suitePayload } from './append-payload.ts';
import { makeFolder, openTestJournal, readAll, removeFolder } from './journal-fixture.ts';

const SMALL = { segmentBytes: 16 * 1024, checkpointEvery: 1000 };

describe('segments', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await makeFolder();
  });
  afterEach(() => removeFolder(folder));

  const logs = async (): Promise<string[]> => (await readdir(folder)).filter((name) => name.endsWith('.log')).sort();

  async function fill(count: number, more: object = {}): Promise<void> {
    const journal = await openTestJournal(folder, { ...SMALL, ...more });
    const start = journal.size;
    for (let number = start; number < start + count; number += 10) {
      await Promise.all(Array.from({ length: 10 }, (_, index) => journal.append(suitePayload(number + index))));
    }
    await journal.close();
  }

  it('A4 the tree, the order and the reading span them, also over restarts', async () => {
    await fill(200);
    await fill(200);
    expect((await logs()).length).toBeGreaterThan(5);
    for (const name of await logs()) expect((await stat(join(folder, name))).size).toBeLessThanOrEqual(16 * 1024);
    expect(await readAll(folder)).toEqual(Array.from({ length: 400 }, (_, index) => suitePayload(index)));
    expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: 400, signedSize: 400, removedSegments: 0 });
  });

  it('a reader without the lock goes on from segment to segment', async () => {
    const reader = createJournalReader(folder);
    const journal = await openTestJournal(folder, SMALL);
    let next = 0;
    for (let round = 0; round < 30; round += 1) {
      await Promise.all(Array.from({ length: 10 }, (_, index) => journal.append(suitePayload(round * 10 + index))));
      for await (const { position, payload } of reader.read(next)) {
        expect(position).toBe(next);
        expect(payload).toEqual(suitePayload(position));
        next += 1;
      }
      expect(next).toBe((round + 1) * 10);
    }
    await journal.close();
  });

  it('takes a record that is longer than a segment', async () => {
    const journal = await openTestJournal(folder, SMALL);
    await journal.append(suitePayload(0));
    await journal.append(Buffer.alloc(100_000, 1));
    await journal.append(suitePayload(2));
    await journal.close();
    expect((await readAll(folder)).map((payload) => payload.length)).toEqual([
      suitePayload(0).length,
      100_000,
      suitePayload(2).length,
    ]);
    expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: 3 });
  });

  it('a start reads the last segment alone: what is before it is under a signature, and verified offline', async () => {
    await fill(300);
    const second = join(folder, '00000001.log');
    const bytes = await readFile(second);
    bytes[5000] = (bytes[5000] as number) ^ 1;
    await writeFile(second, bytes);
    await fill(10);
    expect(await verifyJournal(folder)).toMatchObject({
      ok: false,
      problem: { kind: 'frame', where: { file: second } },
    });
  });

  it('A4 a segment that is gone, or does not follow on the one before it, is damage', async () => {
    await fill(300);
    const [first, second] = [join(folder, '00000000.log'), join(folder, '00000001.log')];
    const bytes = await readFile(second);
    await writeFile(second, await readFile(first));
    expect(await verifyJournal(folder)).toMatchObject({
      ok: false,
      problem: { kind: 'header', where: { file: second } },
    });
    await rm(second);
    await rm(join(folder, '00000001.leaves'));
    expect(await verifyJournal(folder)).toMatchObject({
      ok: false,
      problem: { kind: 'missing', where: { file: second } },
    });
    await expect(openTestJournal(folder, SMALL)).rejects.toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
    await writeFile(second, bytes);
    expect(await verifyJournal(folder)).toMatchObject({ ok: true });
  });

  it('A4 keeps the leaf hashes of a full segment: without its frames everything after it still verifies', async () => {
    await fill(300);
    await rm(join(folder, '00000001.log'));
    // Only the oldest ones can have been removed by right.
    expect(await verifyJournal(folder)).toMatchObject({ ok: false, problem: { kind: 'missing' } });
    await rm(join(folder, '00000000.log'));
    expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: 300, removedSegments: 2 });
    const kept = await readAll(folder);
    expect(kept.length).toBeLessThan(300);
    await fill(10);
    const leaves = await readFile(join(folder, '00000001.leaves'));
    leaves[40] = (leaves[40] as number) ^ 1;
    await writeFile(join(folder, '00000001.leaves'), leaves);
    expect(await verifyJournal(folder)).toMatchObject({ ok: false });
  });

  it('A4 a write whose sectors reached the disk in another order is incomplete; one that a later write follows is damage', async () => {
    const path = join(folder, '00000000.log');
    const journal = await openTestJournal(folder, { checkpointEvery: 1000, checkpointMs: 1_000_000 });
    await journal.append(Buffer.alloc(900, 1));
    const before = await readFile(join(folder, 'checkpoints'));
    const big = [journal.append(Buffer.alloc(1500, 2)), journal.append(Buffer.alloc(1500, 3))];
    await Promise.all(big);
    const log = await readFile(path);
    await journal.append(Buffer.alloc(100, 4));
    const later = await readFile(path);
    await journal.close();
    for (const [bytes, isDamage] of [
      [log, false],
      [later, true],
    ] as const) {
      // The sector at 5,120 belongs to the first of the two, and never reached the disk.
      const torn = Buffer.from(bytes).fill(0, 5120, 5632);
      await writeFile(path, torn);
      await writeFile(join(folder, 'checkpoints'), before);
      if (isDamage) {
        await expect(openTestJournal(folder)).rejects.toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
      } else {
        const after = await openTestJournal(folder);
        expect(after.size).toBe(1);
        await after.append(suitePayload(1));
        await after.close();
        expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: 2, incompleteBytes: 0 });
      }
    }
  });
});
