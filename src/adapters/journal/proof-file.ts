import { RemitError } from '../../domain/errors.ts';
import type { TreeHash } from './merkle-tree.ts';

/**
 * Proofs as text files. Inclusion: https://c2sp.org/tlog-proof, with the record itself as its extra data. Consistency has no file format of its own
 * there: it is what a log sends to a witness, the body of an `add-checkpoint` request (https://c2sp.org/tlog-witness). Texts are latin1, like notes.
 */

const INCLUSION = 'c2sp.org/tlog-proof@v1';
/** What a witness takes at most. */
const MOST_HASHES = 63;

export interface InclusionProofFile {
  readonly kind: 'inclusion';
  readonly index: number;
  /** The record; left out where it has been removed. Not to be believed before the proof holds for it. */
  readonly payload: Buffer | undefined;
  readonly hashes: readonly TreeHash[];
  /** The signed note. */
  readonly checkpoint: string;
}

export interface ConsistencyProofFile {
  readonly kind: 'consistency';
  readonly oldSize: number;
  readonly hashes: readonly TreeHash[];
  readonly checkpoint: string;
}

export function formatInclusion({ index, payload, hashes, checkpoint }: Omit<InclusionProofFile, 'kind'>): string {
  const extra = payload === undefined ? [] : [`extra ${payload.toString('base64')}`];
  return [INCLUSION, ...extra, `index ${index}`, ...hashes.map(toBase64), '', checkpoint].join('\n');
}

export function formatConsistency({ oldSize, hashes, checkpoint }: Omit<ConsistencyProofFile, 'kind'>): string {
  return [`old ${oldSize}`, ...hashes.map(toBase64), '', checkpoint].join('\n');
}

/** @throws `ERR_PROOF_INVALID` for a text that is no proof of either kind */
export function parseProof(text: string): InclusionProofFile | ConsistencyProofFile {
  const blank = text.indexOf('\n\n');
  if (blank < 0) throw malformed('there is no checkpoint in it');
  const lines = text.slice(0, blank).split('\n');
  const checkpoint = text.slice(blank + 2);
  if (lines[0] !== INCLUSION) {
    const oldSize = readNumber('old ', lines.shift());
    return { kind: 'consistency', oldSize, hashes: readHashes(lines), checkpoint };
  }
  lines.shift();
  const payload = lines[0]?.startsWith('extra ') ? readBase64(lines.shift()?.slice('extra '.length) ?? '') : undefined;
  const index = readNumber('index ', lines.shift());
  return { kind: 'inclusion', index, payload, hashes: readHashes(lines), checkpoint };
}

function readNumber(name: string, line = ''): number {
  const [, digits] = /^[a-z]+ (0|[1-9][0-9]{0,15})$/.exec(line) ?? [];
  if (digits === undefined || !line.startsWith(name) || !Number.isSafeInteger(Number(digits))) {
    throw malformed(`it has no line “${name}N” where one belongs`);
  }
  return Number(digits);
}

function readHashes(lines: readonly string[]): TreeHash[] {
  if (lines.length > MOST_HASHES) throw malformed('it has more hashes than a proof can have');
  return lines.map((line) => {
    const bytes = readBase64(line);
    if (bytes.length !== 32) throw malformed('it has a line that is no hash');
    return bytes.toString('latin1');
  });
}

/** One spelling of each value: Node's decoder forgives what must not change unseen. */
function readBase64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw malformed('it has a line that is not base64');
  return bytes;
}

const toBase64 = (hash: TreeHash): string => Buffer.from(hash, 'latin1').toString('base64');

function malformed(what: string): RemitError {
  return new RemitError('ERR_PROOF_INVALID', `this is not a proof: ${what}`, {
    hint: 'Give a file that `remit audit prove` wrote, whole and unchanged.',
  });
}
