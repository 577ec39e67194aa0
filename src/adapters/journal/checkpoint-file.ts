import type { JournalSigner } from './ed25519-signer.ts';
import type { TreeHash } from './merkle-tree.ts';
import { isSignedBy, signatureEndLength, signNote, type Verifier } from './signed-note.ts';

/** The `checkpoints` file: signed tree heads (https://c2sp.org/tlog-checkpoint) one after the other, sizes rising. */

export interface TreeHead {
  readonly size: number;
  readonly root: TreeHash;
}

export interface Checkpoint extends TreeHead {
  /** Where its note starts in the file. */
  readonly offset: number;
}

export interface CheckpointDamage {
  readonly offset: number;
  readonly what: string;
}

/** A quick reading checks the signatures in so many of the last characters: about a thousand notes. */
const QUICK_LENGTH = 256 * 1024;

/** Base64 of a 32-byte root. */
const ROOT_LENGTH = 44;

/** Text of a note, as latin1. */
export function signCheckpoint(head: TreeHead, verifier: Verifier, signer: JournalSigner): string {
  const root = Buffer.from(head.root, 'latin1').toString('base64');
  return signNote(`${verifier.name}\n${head.size}\n${root}\n`, verifier, signer);
}

/**
 * Reads every note and checks every signature, or only the last ones'. An incomplete last note is what a crash in the middle of its write
 * leaves; the tree head it would have held was never relied upon, so it counts as absent.
 * @returns the checkpoints and the length up to the end of the last whole one
 */
export function readCheckpoints(
  text: string,
  verifier: Verifier,
  isQuick = false,
): { checkpoints: Checkpoint[]; length: number } | { damage: CheckpointDamage } {
  const checkpoints: Checkpoint[] = [];
  let offset = 0;
  let previous = -1;
  while (offset < text.length) {
    const note = readNote(text, offset, verifier, isQuick && text.length - offset > QUICK_LENGTH);
    if (note === undefined) {
      if (isIncompleteNote(text.slice(offset), verifier.name)) break;
      return { damage: { offset, what: `note ${checkpoints.length} is not a checkpoint signed by ${verifier.name}` } };
    }
    if (note.size <= previous) {
      return { damage: { offset, what: `note ${checkpoints.length} has size ${note.size} after size ${previous}` } };
    }
    previous = note.size;
    checkpoints.push({ size: note.size, root: note.root, offset });
    offset += note.length;
  }
  return { checkpoints, length: offset };
}

function readNote(
  text: string,
  offset: number,
  verifier: Verifier,
  isTrusted: boolean,
): (TreeHead & { length: number }) | undefined {
  const sizeAt = offset + verifier.name.length + 1;
  const sizeEnd = text.indexOf('\n', sizeAt);
  const sizeText = text.slice(sizeAt, sizeEnd);
  if (sizeEnd < 0 || !/^(0|[1-9][0-9]{0,15})$/.test(sizeText)) return undefined;
  const bodyEnd = sizeEnd + 1 + ROOT_LENGTH + 1;
  const end = bodyEnd + signatureEndLength(verifier.name);
  if (end > text.length) return undefined;
  const root = text.slice(sizeEnd + 1, bodyEnd - 1);
  const body = text.slice(offset, bodyEnd);
  if (body !== `${verifier.name}\n${sizeText}\n${root}\n` || text[bodyEnd] !== '\n') return undefined;
  if (!isTrusted && !isSignedBy(verifier, body, text.slice(bodyEnd + 1, end))) return undefined;
  return { size: Number(sizeText), root: Buffer.from(root, 'base64').toString('latin1'), length: end - offset };
}

/** A tail is incomplete only if it is shorter than its note: a changed byte never shortens one. */
function isIncompleteNote(tail: string, name: string): boolean {
  const sizeText = /^[0-9]{1,16}(?=\n)/.exec(tail.slice(name.length + 1))?.[0] ?? '0';
  return tail.length < name.length + 1 + sizeText.length + 1 + ROOT_LENGTH + 1 + signatureEndLength(name);
}
