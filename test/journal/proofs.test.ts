import { createHash, createPublicKey, verify } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ed25519Signer } from '../../src/adapters/journal/ed25519-signer.ts';
import { newestCheckpoint, proveConsistency, proveInclusion } from '../../src/adapters/journal/prove.ts';
import { createVerifier } from '../../src/adapters/journal/signed-note.ts';
import { verifyProof } from '../../src/adapters/journal/verify-proof.ts';
import { suitePayload } from './append-payload.ts';
import { makeFolder, ORIGIN, openTestJournal, removeFolder, testSigner } from './journal-fixture.ts';

const verifier = createVerifier(ORIGIN, testSigner.publicKey);
const SMALL = { segmentBytes: 8 * 1024, checkpointEvery: 1_000, schedule: () => () => {} };
const utf8 = (latin1: string): string => Buffer.from(latin1, 'latin1').toString('utf8');

describe('proofs', () => {
  let folder: string;
  let journal: Awaited<ReturnType<typeof openTestJournal>>;
  /** A checkpoint at each of these sizes. */
  const notes = new Map<number, string>();

  beforeEach(async () => {
    folder = await makeFolder();
    journal = await openTestJournal(folder, SMALL);
    notes.clear();
    for (const size of [1, 2, 37, 64, 100, 101]) {
      while (journal.size < size) await journal.append(suitePayload(journal.size));
      await journal.checkpoint();
      const { note } = await newestCheckpoint(folder, verifier);
      notes.set(size, utf8(note));
    }
  });
  afterEach(async () => {
    await journal.close();
    await removeFolder(folder);
  });

  it('A4 prove each record against each checkpoint, over full segments and the one that is written', async () => {
    expect((await journal.segments()).length).toBeGreaterThan(2);
    for (const [size, checkpoint] of notes) {
      for (const index of [0, 1, 36, 37, 63, 64, 99, 100].filter((at) => at < size)) {
        const proof = await proveInclusion({ folder, verifier, index, checkpoint });
        expect(verifyProof(utf8(proof.text), verifier)).toEqual({
          kind: 'inclusion',
          origin: ORIGIN,
          size,
          index,
          payload: suitePayload(index),
        });
      }
    }
    await expect(proveInclusion({ folder, verifier, index: 101 })).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
  });

  it('A4 are C2SP tlog-proof: somebody else’s reading of the specification agrees, with the public key alone', async () => {
    const { text } = await proveInclusion({ folder, verifier, index: 70 });
    const [head = '', ...rest] = text.split('\n\n');
    const [magic, extra = '', index, ...hashes] = head.split('\n');
    expect([magic, index]).toEqual(['c2sp.org/tlog-proof@v1', 'index 70']);
    const sha256 = (...parts: Buffer[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();
    const [origin, size = '', root = ''] = (rest[0] ?? '').split('\n');
    expect(origin).toBe(ORIGIN);
    // RFC 6962 §2.1.1, bottom up: at each level the sibling is left of an odd node, and a last node without one is passed over.
    let hash = sha256(Buffer.of(0), Buffer.from(extra.slice('extra '.length), 'base64'));
    let [at, last] = [70, Number(size) - 1];
    for (const sibling of hashes.map((line) => Buffer.from(line, 'base64'))) {
      while (at % 2 === 0 && at === last) [at, last] = [at / 2, Math.floor(last / 2)];
      hash = at % 2 === 1 ? sha256(Buffer.of(1), sibling, hash) : sha256(Buffer.of(1), hash, sibling);
      [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
    }
    expect(hash.toString('base64')).toBe(root);
    const signature = Buffer.from((rest[1] ?? '').trimEnd().split(' ').at(-1) ?? '', 'base64').subarray(4);
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: testSigner.publicKey.toString('base64url') };
    const key = createPublicKey({ key: jwk, format: 'jwk' });
    expect(verify(null, Buffer.from(`${rest[0]}\n`, 'latin1'), key, signature)).toBe(true);
  });

  it('A4 do not hold when any byte of them is another, for another record, or under another key', async () => {
    const { text } = await proveInclusion({ folder, verifier, index: 5, checkpoint: notes.get(64) as string });
    const proof = Buffer.from(text, 'latin1');
    for (let at = 0; at < proof.length; at += 1) {
      const changed = Buffer.from(proof);
      changed[at] = (changed[at] as number) ^ 1;
      expect(() => verifyProof(changed.toString('utf8'), verifier), `byte ${at}`).toThrow();
    }
    for (const cut of [0, 10, proof.length - 1]) {
      expect(() => verifyProof(proof.subarray(0, cut).toString('utf8'), verifier)).toThrow();
    }
    expect(() => verifyProof(utf8(text), verifier, { payload: suitePayload(6) })).toThrow(
      expect.objectContaining({ code: 'ERR_PROOF_INVALID' }),
    );
    const other = createVerifier(ORIGIN, ed25519Signer(Buffer.alloc(32, 9)).publicKey);
    expect(() => verifyProof(utf8(text), other)).toThrow(expect.objectContaining({ code: 'ERR_PROOF_INVALID' }));
  });

  it('A4 prove that the log goes on from each checkpoint to each later one, to who has kept the earlier one', async () => {
    for (const [size, checkpoint] of notes) {
      for (const [oldSize, from] of notes) {
        if (oldSize > size) {
          await expect(proveConsistency({ folder, verifier, from, checkpoint })).rejects.toMatchObject({
            code: 'ERR_USAGE',
          });
          continue;
        }
        const { text } = await proveConsistency({ folder, verifier, from, checkpoint });
        expect(text.startsWith(`old ${oldSize}\n`)).toBe(true);
        const expected = { kind: 'consistency', origin: ORIGIN, size, oldSize };
        expect(verifyProof(utf8(text), verifier, { from })).toEqual(expected);
        expect(() => verifyProof(utf8(text), verifier)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }));
        const another = notes.get(oldSize === 37 ? 2 : 37) as string;
        expect(() => verifyProof(utf8(text), verifier, { from: another })).toThrow(
          expect.objectContaining({ code: 'ERR_PROOF_INVALID' }),
        );
      }
    }
  });

  it('A4 of a log that was rewritten under the same key there is no proof that it goes on', async () => {
    const elsewhere = await makeFolder();
    const rewritten = await openTestJournal(elsewhere, SMALL);
    while (rewritten.size < 101) await rewritten.append(suitePayload(rewritten.size === 20 ? 9_999 : rewritten.size));
    await rewritten.close();
    const from = notes.get(64) as string;
    await expect(proveConsistency({ folder: elsewhere, verifier, from })).rejects.toMatchObject({
      code: 'ERR_JOURNAL_DAMAGED',
    });
    const { text } = await proveConsistency({ folder, verifier, from });
    const forged = text.slice(0, text.indexOf('\n\n') + 2) + (await newestCheckpoint(elsewhere, verifier)).note;
    expect(() => verifyProof(utf8(forged), verifier, { from })).toThrow(
      expect.objectContaining({ code: 'ERR_PROOF_INVALID' }),
    );
    await removeFolder(elsewhere);
  });

  it('A4 are still made when the record is removed: then whoever has kept it can show that it was there', async () => {
    const [, second] = await journal.segments();
    await journal.removeBefore(second?.first as number, async () => {});
    const { text } = await proveInclusion({ folder, verifier, index: 3 });
    expect(text).not.toContain('extra');
    expect(() => verifyProof(utf8(text), verifier)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }));
    expect(verifyProof(utf8(text), verifier, { payload: suitePayload(3) })).toMatchObject({ index: 3 });
    expect(() => verifyProof(utf8(text), verifier, { payload: suitePayload(4) })).toThrow();
    const { text: goesOn } = await proveConsistency({ folder, verifier, from: notes.get(2) as string });
    expect(verifyProof(utf8(goesOn), verifier, { from: notes.get(2) as string })).toMatchObject({ oldSize: 2 });
  });

  it('A4 are not made of leaf hashes that were changed', async () => {
    const path = join(folder, '00000000.leaves');
    const leaves = await readFile(path);
    leaves[3] = (leaves[3] as number) ^ 1;
    await writeFile(path, leaves);
    await expect(proveInclusion({ folder, verifier, index: 90 })).rejects.toMatchObject({
      code: 'ERR_JOURNAL_DAMAGED',
    });
    await expect(proveConsistency({ folder, verifier, from: notes.get(37) as string })).rejects.toMatchObject({
      code: 'ERR_JOURNAL_DAMAGED',
    });
  });
});
