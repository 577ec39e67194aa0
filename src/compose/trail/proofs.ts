import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { VERIFIER_FILE } from '../../adapters/journal/frame.ts';
import { newestCheckpoint, type Proof, proveConsistency, proveInclusion } from '../../adapters/journal/prove.ts';
import { parseVerifier, type Verifier } from '../../adapters/journal/signed-note.ts';
import { type VerifiedProof, verifyProof } from '../../adapters/journal/verify-proof.ts';
import { messageOf, RemitError } from '../../domain/errors.ts';

/** What a proof is to be made of. */
export interface ProofWish {
  /** Position of a record; left out: consistency is proved. */
  readonly seq: number | undefined;
  /** Files with checkpoints: the earlier one of a consistency proof, and the one to prove against. */
  readonly from: string | undefined;
  readonly to: string | undefined;
}

/** @throws what `proveInclusion` and `proveConsistency` throw, `ERR_USAGE` */
export async function makeProof(folder: string, { seq, from, to }: ProofWish): Promise<Proof> {
  const verifier = await readVerifier(undefined, folder);
  const checkpoint = to === undefined ? undefined : await readText(to);
  if (seq !== undefined && from === undefined)
    return await proveInclusion({ folder, verifier, checkpoint, index: seq });
  if (from !== undefined && seq === undefined) {
    return await proveConsistency({ folder, verifier, checkpoint, from: await readText(from) });
  }
  throw new RemitError('ERR_USAGE', 'a proof is of one record, or of the log going on from a checkpoint', {
    hint: '`remit audit prove SEQ`, or `remit audit prove --from CHECKPOINT`.',
  });
}

/** The newest signed tree head, to be kept elsewhere: UTF-8 of a signed note. */
export async function takeCheckpoint(folder: string): Promise<{ size: number; note: string }> {
  const { size, note } = await newestCheckpoint(folder, await readVerifier(undefined, folder));
  return { size, note: Buffer.from(note, 'latin1').toString('utf8') };
}

/**
 * @param of.key vkey; left out: the one in the folder is believed
 * @throws what `verifyProof` throws
 */
export async function checkProof(of: {
  readonly file: string;
  readonly key: string | undefined;
  readonly folder: () => Promise<string>;
  readonly record: string | undefined;
  readonly from: string | undefined;
}): Promise<VerifiedProof> {
  const verifier = await readVerifier(of.key, of.key === undefined ? await of.folder() : undefined);
  return verifyProof(await readText(of.file), verifier, {
    payload: of.record === undefined ? undefined : await readBytes(of.record),
    from: of.from === undefined ? undefined : await readText(of.from),
  });
}

async function readVerifier(key: string | undefined, folder: string | undefined): Promise<Verifier> {
  const text = key?.trim() ?? (await readText(join(folder ?? '', VERIFIER_FILE))).trim();
  const verifier = parseVerifier(text);
  if (verifier !== undefined) return verifier;
  throw new RemitError('ERR_USAGE', 'the verifier key is not a vkey of an Ed25519 key', {
    hint: 'It reads name+hash+key: the content of verifier.key as it was when the journal was made.',
  });
}

const readText = async (path: string): Promise<string> => (await readBytes(path)).toString('utf8');

async function readBytes(path: string): Promise<Buffer> {
  return await readFile(path).catch((cause) => {
    throw new RemitError('ERR_NOT_FOUND', `the file cannot be read: ${messageOf(cause)}`, { where: path, cause });
  });
}
