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
import { type ContentKey, openContent, sealContent } from '../../src/audit/seal-content.ts';
import { taskId, tenantId } from '../../src/domain/ids.ts';
import { makeFolder, openTestJournal, readAll, removeFolder } from '../journal/journal-fixture.ts';
import { collect, decision, NOW, TASK, TENANT } from './fixtures.ts';

const CONTEXT = { tenant: TENANT, task: TASK, span: 'b7ad6b7169203331' };
const KEY: ContentKey = { name: 'task:tsk_a', bytes: Buffer.alloc(32, 3) };

describe('sealed content', () => {
  it('opens to what was sealed', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(openContent(sealContent(text, CONTEXT, KEY, randomBytes), CONTEXT, KEY)).toBe(text);
      }),
    );
  });

  it('never uses an initialisation vector twice', () => {
    const seen = new Set(Array.from({ length: 5_000 }, () => sealContent('x', CONTEXT, KEY, randomBytes).iv));
    expect(seen.size).toBe(5_000);
    expect(Buffer.from([...seen][0] ?? '', 'base64')).toHaveLength(12);
  });

  it('does not open under another key, for another record, or changed', () => {
    const sealed = sealContent('{"limit":10}', CONTEXT, KEY, randomBytes);
    const refused = { code: 'ERR_VAULT_KEY_WRONG' };
    const opening = (change: object, context: object = {}, key = KEY) => {
      try {
        return openContent({ ...sealed, ...change }, { ...CONTEXT, ...context }, key);
      } catch (error) {
        return error;
      }
    };
    expect(opening({})).toBe('{"limit":10}');
    expect(opening({}, {}, { ...KEY, bytes: Buffer.alloc(32, 4) })).toMatchObject(refused);
    expect(opening({}, {}, { ...KEY, bytes: Buffer.alloc(0) })).toMatchObject(refused);
    expect(opening({}, { tenant: tenantId('other') })).toMatchObject(refused);
    expect(opening({}, { task: taskId('tsk_b') })).toMatchObject(refused);
    expect(opening({}, { span: 'b7ad6b7169203332' })).toMatchObject(refused);
    expect(opening({ tag: Buffer.from(sealed.tag, 'base64').subarray(0, 4).toString('base64') })).toMatchObject(
      refused,
    );
    for (const field of ['iv', 'ciphertext', 'tag'] as const) {
      const bytes = Buffer.from(sealed[field], 'base64');
      bytes[0] = (bytes[0] as number) ^ 1;
      expect(opening({ [field]: bytes.toString('base64') }), field).toMatchObject(refused);
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
      const keys = new Map([[TASK, KEY]]);
      const journal = await openTestJournal(folder, { checkpointEvery: 2 });
      const recorder = createRecorder({
        journal,
        clock: () => NOW,
        tenant: TENANT,
        seal: ({ text, ...context }) => sealContent(text, context, keys.get(context.task) as ContentKey, randomBytes),
      });
      for (const span of ['s1', 's2', 's3'])
        await recorder.record({ ...decision(TASK, span), input: `{"card":"${canary}"}` });
      await journal.close();

      const records = await collect(readRecords(createJournalReader(folder).read(0)));
      for (const { sealed, span } of records) {
        if (sealed === undefined || span === undefined) throw new Error('a record holds no sealed input');
        expect(openContent(sealed, { tenant: TENANT, task: TASK, span }, KEY)).toBe(`{"card":"${canary}"}`);
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
