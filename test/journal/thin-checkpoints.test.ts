import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rmdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readCheckpoints } from '../../src/adapters/journal/checkpoint-file.ts';
import { closedSegments } from '../../src/adapters/journal/closed-segments.ts';
import { proveConsistency, proveInclusion } from '../../src/adapters/journal/prove.ts';
import { createVerifier } from '../../src/adapters/journal/signed-note.ts';
import { verifyJournal } from '../../src/adapters/journal/verify-journal.ts';
import { makeFolder, ORIGIN, openTestJournal, removeFolder, testSigner } from './journal-fixture.ts';

const OPTIONS = { segmentBytes: 16 * 1024, thinFrom: 0, checkpointMs: 1_000_000 };
/** About fifty to a segment. */
const PAYLOAD = Buffer.alloc(200, 'a record');
const ALL = Number.MAX_SAFE_INTEGER;
const verifier = createVerifier(ORIGIN, testSigner.publicKey);

describe('letting go of checkpoints', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await makeFolder();
  });
  afterEach(() => removeFolder(folder));

  type Opened = Awaited<ReturnType<typeof openTestJournal>>;

  /** A checkpoint for each record. @returns every note that was made */
  async function fill(journal: Opened, count: number): Promise<void> {
    for (let done = 0; done < count; done += 1) {
      await journal.append(PAYLOAD);
      await journal.checkpoint();
    }
  }

  const path = (): string => join(folder, 'checkpoints');
  async function sizes(): Promise<number[]> {
    const read = readCheckpoints(await readFile(path(), 'latin1'), verifier);
    if ('damage' in read) throw new Error(read.damage.what);
    return read.checkpoints.map(({ size }) => size);
  }
  async function noteOver(size: number): Promise<string> {
    const text = await readFile(path(), 'latin1');
    const read = readCheckpoints(text, verifier);
    if ('damage' in read) throw new Error(read.damage.what);
    const index = read.checkpoints.findIndex((one) => one.size === size);
    const note = text.slice(read.checkpoints[index]?.offset, read.checkpoints[index + 1]?.offset);
    return Buffer.from(note, 'latin1').toString('utf8');
  }
  const within = (all: readonly number[], { first, end }: { first: number; end: number }): number[] =>
    all.filter((size) => size > first && size <= end);

  it('A4 of a full segment some stay, the last among them; of a removed one the last alone; of the one that is written to all', async () => {
    const journal = await openTestJournal(folder, OPTIONS);
    await fill(journal, 260);
    const before = await sizes();
    const segments = await journal.segments();
    expect(segments.length).toBeGreaterThan(4);
    const [first, second, third] = segments as unknown as [
      { first: number; end: number },
      { first: number; end: number },
      { first: number; end: number },
    ];
    expect(within(before, third).length).toBeGreaterThan(16);
    await journal.removeBefore(third.first, async () => {});
    const dropped = await journal.thinCheckpoints(ALL);
    const after = await sizes();
    expect(dropped).toBe(before.length - after.length);
    expect(dropped).toBeGreaterThan(before.length / 3);
    expect(within(after, first)).toEqual([first.end]);
    expect(within(after, second)).toEqual([second.end]);
    for (const whole of segments.slice(2, -1)) {
      expect(within(after, whole).length).toBeLessThanOrEqual(16);
      expect(within(after, whole).length).toBeGreaterThan(8);
      expect(within(after, whole)).toContain(whole.end);
    }
    const last = segments.at(-1) as (typeof segments)[number];
    expect(within(after, last)).toEqual(within(before, last));
    expect(after[0]).toBe(0);
    // The journal goes on in the new file, and so does the next start.
    await fill(journal, 3);
    await journal.close();
    expect(await sizes()).toEqual([...after, 261, 262, 263]);
    expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: 263, signedSize: 263, removedSegments: 2 });
    const again = await openTestJournal(folder, OPTIONS);
    await fill(again, 1);
    await again.close();
    expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: 264 });
  });

  it('A4 what was given to others still holds: anchors, proofs of inclusion and of consistency from a checkpoint that was let go', async () => {
    const journal = await openTestJournal(folder, OPTIONS);
    await fill(journal, 260);
    const [, second] = await journal.segments();
    const given = (second?.first ?? 0) + 1;
    const note = await noteOver(given);
    await journal.removeBefore(ALL, async () => {});
    await journal.thinCheckpoints(ALL);
    expect(await sizes()).not.toContain(given);
    await journal.close();
    expect(await verifyJournal(folder, { anchor: note })).toMatchObject({ ok: true });
    expect(await proveConsistency({ folder, verifier, from: note })).toMatchObject({ size: 260 });
    expect(await proveInclusion({ folder, verifier, index: 3, checkpoint: note })).toMatchObject({ size: given });
    await openTestJournal(folder, { ...OPTIONS, anchor: note }).then((opened) => opened.close());
  });

  it('A4 a change in a record is found, between the checkpoints that are left', async () => {
    const journal = await openTestJournal(folder, OPTIONS);
    await fill(journal, 260);
    await journal.thinCheckpoints(ALL);
    await journal.close();
    const leaves = join(folder, '00000001.log');
    const bytes = await readFile(leaves);
    bytes[5_000] = (bytes[5_000] as number) ^ 1;
    await writeFile(leaves, bytes);
    expect(await verifyJournal(folder)).toMatchObject({ ok: false });
  });

  it('A4 nothing over segments behind the position goes, and a copy that is shipped has what there is', async () => {
    const journal = await openTestJournal(folder, OPTIONS);
    await fill(journal, 260);
    const before = await sizes();
    const segments = await journal.segments();
    const middle = segments.at(-2) as (typeof segments)[number];
    expect(await journal.thinCheckpoints(middle.first)).toBeGreaterThan(0);
    expect((await sizes()).filter((size) => size > middle.first)).toEqual(before.filter((size) => size > middle.first));
    for (const { first, end, files } of await closedSegments(folder, 0)) {
      const read = readCheckpoints((await (files[1] as (typeof files)[number]).read()).toString('latin1'), verifier);
      const shipped = 'damage' in read ? [] : read.checkpoints.map(({ size }) => size);
      expect(shipped).toEqual((await sizes()).filter((size) => (size > first || first === 0) && size <= end));
    }
    await journal.close();
  });

  it('is left alone where little would go, and until there is half as much again', async () => {
    const journal = await openTestJournal(folder, { ...OPTIONS, thinFrom: 1_000 });
    expect(await journal.thinCheckpoints(ALL)).toBe(0);
    await fill(journal, 260);
    const inode = async () => stat(path()).then(({ ino }) => ino);
    expect(await journal.thinCheckpoints(ALL)).toBeGreaterThan(0);
    const placed = await inode();
    await fill(journal, 5);
    expect(await journal.thinCheckpoints(ALL)).toBe(0);
    expect(await inode()).toBe(placed);
    await journal.close();
  });

  it('A4 a note that is not signed by the key is not let go of: it is damage, and the file stays', async () => {
    const journal = await openTestJournal(folder, OPTIONS);
    await fill(journal, 200);
    const text = await readFile(path(), 'latin1');
    const at = text.indexOf('\n30\n') + 8;
    const changed = `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`;
    await writeFile(path(), changed, 'latin1');
    await expect(journal.thinCheckpoints(ALL)).rejects.toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
    expect(await readFile(path(), 'latin1')).toBe(changed);
    expect(existsSync(`${path()}.new`)).toBe(false);
    await writeFile(path(), text, 'latin1');
    // Nothing else was touched: it goes on.
    await fill(journal, 1);
    await journal.close();
    expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: 201 });
  });

  it('A4 checkpoints that are asked for meanwhile are stored, and so is the last one of a journal that is closed meanwhile', async () => {
    const journal = await openTestJournal(folder, OPTIONS);
    await fill(journal, 200);
    const thinning = journal.thinCheckpoints(ALL);
    for (let count = 0; count < 20; count += 1) {
      await journal.append(PAYLOAD);
      await journal.checkpoint();
    }
    expect(await thinning).toBeGreaterThan(0);
    expect(await sizes()).toEqual(expect.arrayContaining(Array.from({ length: 20 }, (_, index) => 201 + index)));
    await fill(journal, 200);
    const last = journal.thinCheckpoints(ALL);
    await journal.append(PAYLOAD);
    await journal.close();
    await last;
    expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: 421, signedSize: 421 });
  });

  it('A3 a disk that does not let it happen changes nothing; the journal goes on', async () => {
    const journal = await openTestJournal(folder, OPTIONS);
    await fill(journal, 200);
    const before = await sizes();
    // A folder in its place: whoever is root may write anywhere.
    await mkdir(`${path()}.new`);
    await expect(journal.thinCheckpoints(ALL)).rejects.toMatchObject({ code: 'ERR_JOURNAL_FAILED' });
    await rmdir(`${path()}.new`);
    expect(await sizes()).toEqual(before);
    await fill(journal, 1);
    await journal.close();
    expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: 201 });
  });

  it('A4 kill −9 while checkpoints are let go of, again and again: what was signed is there, and everything verifies', async () => {
    const script = fileURLToPath(new URL('thin-and-print.ts', import.meta.url));
    for (let round = 0; round < 3; round += 1) {
      const child = spawn(process.execPath, ['--import', 'tsx', script, folder], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const closed = once(child, 'close');
      let printed = '';
      let lines = 0;
      child.stdout.on('data', (text: Buffer) => {
        printed += text.toString();
        lines += text.toString().split('\n').length - 1;
        // At another point each time.
        if (lines > 80 + 37 * round) child.kill('SIGKILL');
      });
      await closed;
      const signed = Number(printed.trimEnd().split('\n').at(-1));
      const verified = await verifyJournal(folder);
      expect(verified).toMatchObject({ ok: true });
      if (verified.ok) expect(verified.signedSize).toBeGreaterThanOrEqual(signed);
    }
    // Torn, as a kill while it was being written leaves it.
    await writeFile(`${path()}.new`, 'remit');
    const journal = await openTestJournal(folder, OPTIONS);
    await fill(journal, 1);
    await journal.thinCheckpoints(ALL);
    await journal.close();
    const verified = await verifyJournal(folder);
    expect(verified).toMatchObject({ ok: true });
    if (verified.ok) expect(verified.checkpoints).toBeLessThan(verified.size * 0.7);
  }, 60_000);
});
