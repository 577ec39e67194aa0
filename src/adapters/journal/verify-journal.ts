import { join } from 'node:path';
import { RemitError } from '../../domain/errors.ts';
import { readCheckpoints, type TreeHead } from './checkpoint-file.ts';
import { VERIFIER_FILE } from './frame.ts';
import { type JournalProblem, scanJournal } from './scan-journal.ts';
import { readIfThere } from './segments.ts';
import { parseVerifier, type Verifier } from './signed-note.ts';

export interface VerifyOptions {
  /**
   * The vkey as noted when the journal was made. Without it the one in the folder is believed, which whoever could
   * rewrite the folder could have replaced.
   */
  readonly verifierKey?: string;
  /** A checkpoint (signed note) kept outside the folder: finds a log and its checkpoints rolled back together. */
  readonly anchor?: string;
}

export type Verification =
  | {
      readonly ok: true;
      readonly size: number;
      readonly checkpoints: number;
      /** Records that a signature covers; those after it are covered by checksums alone until the next checkpoint. */
      readonly signedSize: number;
      /** Bytes of a last write that a crash, or a gateway that is writing right now, left incomplete. */
      readonly incompleteBytes: number;
      /** A copy of closed segments: the log goes on elsewhere. */
      readonly isPart: boolean;
      /** Segments, and how many of them retention has removed: of those, the leaf hashes are verified. */
      readonly segments: number;
      readonly removedSegments: number;
      /** Position of the first record that is there. */
      readonly firstRecord: number;
    }
  | { readonly ok: false; readonly problem: JournalProblem };

/**
 * Verifies a journal offline, with nothing but its public key.
 * @throws `ERR_USAGE` (a vkey or anchor that is none), `ERR_NOT_FOUND` (no journal in the folder),
 * `ERR_JOURNAL_FAILED` (unreadable)
 */
export async function verifyJournal(folder: string, options: VerifyOptions = {}): Promise<Verification> {
  const path = join(folder, VERIFIER_FILE);
  const stored = (await readIfThere(path))?.toString('latin1');
  const expected = options.verifierKey?.trim();
  if (stored === undefined && expected === undefined) {
    const hint = 'Name the folder of a journal; if its verifier.key was lost, give the key itself.';
    throw new RemitError('ERR_NOT_FOUND', 'there is no verifier key in the folder', { where: path, hint });
  }
  const verifier = parseVerifier(expected ?? stored?.slice(0, -1) ?? '');
  if (expected !== undefined && verifier === undefined) {
    throw new RemitError('ERR_USAGE', 'the verifier key is not a vkey of an Ed25519 key', {
      hint: 'It reads name+hash+key: the content of verifier.key as it was when the journal was made.',
    });
  }
  if (verifier === undefined || stored !== `${verifier.text}\n`) {
    const what = stored === undefined ? 'the file is missing' : 'the file does not hold the key of this journal';
    return { ok: false, problem: { kind: 'key', where: { file: path, offset: 0 }, what } };
  }

  const anchor = options.anchor === undefined ? undefined : readAnchor(options.anchor, verifier);
  const scan = await scanJournal(folder, verifier, { anchor });
  if ('kind' in scan) return { ok: false, problem: scan };
  return {
    ok: true,
    size: scan.tree.size,
    checkpoints: scan.checkpoints,
    signedSize: scan.head?.size ?? 0,
    incompleteBytes: scan.dirtyEnd - scan.logLength,
    isPart: scan.isPart,
    segments: scan.segments.length,
    removedSegments: scan.segments.filter((segment) => !segment.hasFrames).length,
    firstRecord: scan.segments.find((segment) => segment.hasFrames)?.header?.first ?? 0,
  };
}

/** The one tree head of a signed note. @throws `ERR_USAGE` */
export function readAnchor(note: string, verifier: Verifier): TreeHead {
  const read = readCheckpoints(Buffer.from(note, 'utf8').toString('latin1'), verifier);
  const [head, ...others] = 'damage' in read ? [] : read.checkpoints;
  if (head !== undefined && others.length === 0) return head;
  throw new RemitError('ERR_USAGE', 'the anchor is not one checkpoint that this journal’s key signed', {
    hint: 'Give one note of the checkpoints file, whole, as it was kept elsewhere.',
  });
}
