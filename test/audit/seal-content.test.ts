import { hash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createJournalReader } from '../../src/adapters/journal/journal-reader.ts';
import { hashLeaf, MerkleTree } from '../../src/adapters/journal/merkle-tree.ts';
import { verifyJournal } from '../../src/adapters/journal/verify-journal.ts';
import { readRecords } from '../../src/audit/read-records.ts';
import { createRecorder } from '../../src/audit/recorder.ts';
import { type ContentKey, type ContentSealer, createContentSealer, openContent } from '../../src/audit/seal-content.ts';
import { makeFolder, openTestJournal, readAll, removeFolder } from '../journal/journal-fixture.ts';
import { collect, decision, NOW, TASK, TENANT } from './fixtures.ts';

const CONTEXT = { task: TASK, span: 'b7ad6b7169203331' };
const KEY: ContentKey = { name: 'task:tsk_a', bytes: Buffer.alloc(32, 3) };

function attempt(work: () => string): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}

describe('sealed content', () => {
  it('opens to what was sealed, wherever in the stream it lies', () => {
    const sealer = createContentSealer(KEY, randomBytes);
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(openContent(sealer.seal(text), CONTEXT, KEY)).toBe(text);
      }),
    );
  });

  it('never uses a piece of a keystream twice', () => {
    const sealer = createContentSealer(KEY, randomBytes);
    const pieces = ['x', 'grün', '', 'y'].map((text) => sealer.seal(text));
    expect(new Set(pieces.map((piece) => piece.stream)).size).toBe(1);
    expect(pieces.map((piece) => piece.at)).toEqual([0, 1, 6, 6]);
    // A gateway that starts again does not know how far the last one came: its stream is another.
    const nonces = Array.from({ length: 100 }, () => createContentSealer(KEY, randomBytes).seal('x').stream);
    expect(new Set(nonces).size).toBe(100);
    expect(Buffer.from(nonces[0] ?? '', 'base64')).toHaveLength(12);
  });

  it('commits to the content without helping to guess it', () => {
    const [first, again] = [
      createContentSealer(KEY, randomBytes).seal('42'),
      createContentSealer(KEY, randomBytes).seal('42'),
    ];
    expect(first.digest).toBe(again.digest);
    expect(first.digest).not.toBe(hash('sha256', '42'));
    const other = createContentSealer({ ...KEY, bytes: Buffer.alloc(32, 4) }, randomBytes).seal('42');
    expect(other.digest).not.toBe(first.digest);
  });

  it('does not open under another key, or changed', () => {
    const sealer = createContentSealer(KEY, randomBytes);
    sealer.seal('what comes before');
    const sealed = sealer.seal('{"limit":10}');
    const refused = { code: 'ERR_VAULT_KEY_WRONG' };
    const opening = (change: object, key = KEY) => attempt(() => openContent({ ...sealed, ...change }, CONTEXT, key));
    expect(opening({})).toBe('{"limit":10}');
    expect(opening({}, { ...KEY, bytes: Buffer.alloc(32, 4) })).toMatchObject(refused);
    expect(opening({}, { ...KEY, bytes: Buffer.alloc(0) })).toMatchObject(refused);
    for (const at of [0, sealed.at + 1, -1, 0.5, 2 ** 60]) expect(opening({ at }), String(at)).toMatchObject(refused);
    for (const digest of ['', 'zz', sealed.digest.slice(2)]) expect(opening({ digest }), digest).toMatchObject(refused);
    for (const [field, encoding] of [
      ['stream', 'base64'],
      ['ciphertext', 'base64'],
      ['digest', 'hex'],
    ] as const) {
      const bytes = Buffer.from(sealed[field], encoding);
      bytes[0] = (bytes[0] as number) ^ 1;
      expect(opening({ [field]: bytes.toString(encoding) }), field).toMatchObject(refused);
    }
  });

  describe('in a journal', () => {
    let folder: string;
    beforeEach(async () => {
      folder = await makeFolder();
    });
    afterEach(() => removeFolder(folder));

    it('A5 becomes unreadable when the key is erased, and the log still verifies: its hashes cover the ciphertext', async () => {
      const canary = 'canary-4111-1111';
      const keys = new Map<string, ContentSealer>([[TASK, createContentSealer(KEY, randomBytes)]]);
      const journal = await openTestJournal(folder, { checkpointEvery: 2 });
      const recorder = createRecorder({
        journal,
        clock: () => NOW,
        tenant: TENANT,
        seal: (task, text) => (keys.get(task) as ContentSealer).seal(text),
      });
      for (const span of ['s1', 's2', 's3'])
        await recorder.record({ ...decision(TASK, span), input: `{"card":"${canary}"}` });
      await journal.close();

      const records = await collect(readRecords(createJournalReader(folder).read(0)));
      for (const { sealed, span } of records) {
        if (sealed === undefined || span === undefined) throw new Error('a record holds no sealed input');
        expect(openContent(sealed, { task: TASK, span }, KEY)).toBe(`{"card":"${canary}"}`);
      }
      expect((await readFile(join(folder, '00000000.log'))).includes(canary)).toBe(false);

      keys.delete(TASK);
      expect(await verifyJournal(folder)).toMatchObject({ ok: true, size: 3, signedSize: 3 });
      const [first] = records;
      if (first?.sealed === undefined) throw new Error('no record');
      const guess = { name: KEY.name, bytes: hash('sha256', KEY.name, 'buffer') };
      expect(() => openContent(first.sealed as never, { ...CONTEXT, span: 's1' }, guess)).toThrow('does not open');

      // The leaves are over the payloads as stored, in which the input is ciphertext only.
      const tree = new MerkleTree();
      for (const payload of await readAll(folder)) {
        expect(payload.includes(canary)).toBe(false);
        expect(payload.includes('"ciphertext":"')).toBe(true);
        tree.append(hashLeaf(payload));
      }
      const checkpoints = await readFile(join(folder, 'checkpoints'), 'utf8');
      expect(checkpoints).toContain(`\n3\n${Buffer.from(tree.root(), 'latin1').toString('base64')}\n`);
    });
  });
});
