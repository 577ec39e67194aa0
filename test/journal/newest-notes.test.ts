import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readCheckpoints, signCheckpoint } from '../../src/adapters/journal/checkpoint-file.ts';
import { hashLeaf } from '../../src/adapters/journal/merkle-tree.ts';
import { readNewestNotes } from '../../src/adapters/journal/newest-notes.ts';
import { createVerifier } from '../../src/adapters/journal/signed-note.ts';
import { makeFolder, ORIGIN, removeFolder, testSigner } from './journal-fixture.ts';

const verifier = createVerifier(ORIGIN, testSigner.publicKey);

describe('the newest checkpoints', () => {
  let folder: string;
  let path: string;
  beforeEach(async () => {
    folder = await makeFolder();
    path = join(folder, 'checkpoints');
    const notes = Array.from({ length: 200 }, (_, index) =>
      signCheckpoint({ size: index * 7, root: hashLeaf(Buffer.of(index)) }, verifier, testSigner),
    );
    await writeFile(path, Buffer.from(notes.join(''), 'latin1'));
  });
  afterEach(() => removeFolder(folder));

  it('A4 are read from a whole note on, back to the size that is wanted, whatever is read at first', async () => {
    const whole = (await readFile(path)).toString('latin1');
    for (const firstLength of [100, 257, 1000, 5000, 1_000_000]) {
      for (const size of [0, 7, 700, 1000, 1393]) {
        const { text, offset } = (await readNewestNotes(path, ORIGIN, size, firstLength)) as {
          text: string;
          offset: number;
        };
        expect(text).toBe(whole.slice(offset));
        const read = readCheckpoints(text, verifier);
        if ('damage' in read) return expect.unreachable(read.damage.what);
        expect(read.checkpoints[0]?.size).toBeLessThanOrEqual(size);
        expect(read.checkpoints.at(-1)?.size).toBe(1393);
        if (firstLength < 5000 && size > 1000) expect(text.length).toBeLessThan(whole.length / 2);
      }
    }
  });

  it('are all there is where none is so old, and nothing without the file', async () => {
    expect(await readNewestNotes(path, ORIGIN, -1, 100)).toMatchObject({ offset: 0 });
    expect(await readNewestNotes(path, 'other', 1393, 100)).toMatchObject({ offset: 0 });
    expect(await readNewestNotes(join(folder, 'none'), ORIGIN, 0)).toBeUndefined();
  });
});
