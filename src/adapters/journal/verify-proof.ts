import { RemitError } from '../../domain/errors.ts';
import { isConsistent, isIncluded } from './merkle-proofs.ts';
import { hashLeaf } from './merkle-tree.ts';
import { parseProof } from './proof-file.ts';
import type { Verifier } from './signed-note.ts';
import { readAnchor } from './verify-journal.ts';

export type VerifiedProof =
  | {
      readonly kind: 'inclusion';
      readonly origin: string;
      /** Size of the log that the checkpoint was signed over. */
      readonly size: number;
      readonly index: number;
      /** The record that is proved. */
      readonly payload: Buffer;
    }
  | { readonly kind: 'consistency'; readonly origin: string; readonly size: number; readonly oldSize: number };

/**
 * Verifies a proof with nothing but the public key.
 * @param text the file, UTF-8
 * @param given.payload the record, where the file does not hold it; or to compare with
 * @param given.from the earlier checkpoint, UTF-8, as the verifier has kept it: only they can say from what the log must go on
 * @throws `ERR_PROOF_INVALID`, `ERR_USAGE` (what is needed besides the file)
 */
export function verifyProof(
  text: string,
  verifier: Verifier,
  given: { readonly payload?: Buffer | undefined; readonly from?: string | undefined } = {},
): VerifiedProof {
  const proof = parseProof(Buffer.from(text, 'utf8').toString('latin1'));
  const head = headOf(proof.checkpoint, verifier);
  const origin = verifier.name;
  if (proof.kind === 'inclusion') {
    const payload = given.payload ?? proof.payload;
    if (payload === undefined) {
      throw new RemitError('ERR_USAGE', 'the proof does not hold the record', {
        hint: 'It had been removed when the proof was made: give its exact bytes with --record.',
      });
    }
    const { index, hashes } = proof;
    if (!isIncluded({ leaf: hashLeaf(payload), index, size: head.size, root: head.root, proof: hashes })) {
      throw invalid(`record ${index}, as it is given, is not in the log of size ${head.size}`);
    }
    return { kind: 'inclusion', origin, size: head.size, index, payload };
  }
  if (given.from === undefined) {
    throw new RemitError(
      'ERR_USAGE',
      `this proves that a log goes on from size ${proof.oldSize}, and needs that checkpoint`,
      {
        hint: 'Give the earlier checkpoint, as it was kept, with --from.',
      },
    );
  }
  const old = readAnchor(given.from, verifier);
  const { oldSize, hashes } = proof;
  if (old.size !== oldSize) throw invalid(`it goes on from size ${oldSize}, and the checkpoint is of size ${old.size}`);
  if (!isConsistent({ oldSize, oldRoot: old.root, size: head.size, root: head.root, proof: hashes })) {
    throw invalid(`the log of size ${head.size} does not go on from the one of size ${oldSize}`);
  }
  return { kind: 'consistency', origin, size: head.size, oldSize };
}

function headOf(note: string, verifier: Verifier): ReturnType<typeof readAnchor> {
  try {
    return readAnchor(Buffer.from(note, 'latin1').toString('utf8'), verifier);
  } catch {
    throw invalid('its checkpoint is not one that this key signed');
  }
}

function invalid(what: string): RemitError {
  return new RemitError('ERR_PROOF_INVALID', `the proof does not hold: ${what}`, {
    hint: 'Compare the verifier key with the one that was noted when the journal was made; ask for a new proof.',
  });
}
