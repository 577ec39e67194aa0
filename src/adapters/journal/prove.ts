import { join } from 'node:path';
import { RemitError } from '../../domain/errors.ts';
import { readCheckpoints, type TreeHead } from './checkpoint-file.ts';
import { CHECKPOINT_FILE } from './frame.ts';
import { damagedJournal } from './frame-reader.ts';
import { readPayloads } from './journal-reader.ts';
import { readLeafHashes } from './leaf-hashes.ts';
import { consistencyRanges, hashRanges, inclusionRanges, isConsistent, isIncluded } from './merkle-proofs.ts';
import { hashLeaf, type TreeHash } from './merkle-tree.ts';
import { formatConsistency, formatInclusion } from './proof-file.ts';
import { readIfThere } from './segments.ts';
import type { Verifier } from './signed-note.ts';
import { readAnchor } from './verify-journal.ts';

export interface Proof {
  /** The file, latin1. */
  readonly text: string;
  /** Of the checkpoint that it is against. */
  readonly size: number;
}

export interface ProveOptions {
  readonly folder: string;
  readonly verifier: Verifier;
  /** The checkpoint to prove against, UTF-8; left out: the newest that is stored. */
  readonly checkpoint?: string | undefined;
}

/** The newest signed note that is stored, latin1. @throws `ERR_NOT_FOUND`, `ERR_JOURNAL_DAMAGED` */
export async function newestCheckpoint(folder: string, verifier: Verifier): Promise<TreeHead & { note: string }> {
  const path = join(folder, CHECKPOINT_FILE);
  const text = (await readIfThere(path))?.toString('latin1') ?? '';
  const read = readCheckpoints(text, verifier, true);
  if ('damage' in read) throw damagedJournal(path, read.damage.offset, undefined, read.damage.what);
  const newest = read.checkpoints.at(-1);
  if (newest !== undefined) return { ...newest, note: text.slice(newest.offset, read.length) };
  throw new RemitError('ERR_NOT_FOUND', 'there is no signed checkpoint', {
    where: path,
    hint: 'Name the folder of a journal that a gateway has written.',
  });
}

/**
 * Proves that a record is in the log, to whoever has the public key alone. Of a record that was removed the file holds everything but the record.
 * @throws `ERR_NOT_FOUND` (no such record, or not under this checkpoint), `ERR_JOURNAL_DAMAGED` (the files do not lead to what was signed)
 */
export async function proveInclusion(options: ProveOptions & { readonly index: number }): Promise<Proof> {
  const { folder, index } = options;
  const head = await headOf(options);
  if (index >= head.size) {
    throw new RemitError('ERR_NOT_FOUND', `record ${index} is not under the checkpoint of size ${head.size}`, {
      where: `record ${index}`,
      hint: 'The newest records come under a signature within two seconds; `remit audit tail` shows which there are.',
    });
  }
  const payload = await payloadAt(folder, index);
  const ranges = [...inclusionRanges(index, head.size), { start: index, end: index + 1 }];
  const hashes = [...(await hashRanges(readLeafHashes(folder), ranges))];
  const stored = hashes.pop() as TreeHash;
  const leaf = payload === undefined ? stored : hashLeaf(payload);
  if (!isIncluded({ leaf, index, size: head.size, root: head.root, proof: hashes })) throw unprovable(folder, index);
  return { text: formatInclusion({ index, payload, hashes, checkpoint: head.note }), size: head.size };
}

/**
 * Proves that the log of one checkpoint is the beginning of the log of a later one.
 * @param options.from the earlier checkpoint, UTF-8
 * @throws `ERR_USAGE` (none of this journal's key), `ERR_JOURNAL_DAMAGED` (the log does not extend it)
 */
export async function proveConsistency(options: ProveOptions & { readonly from: string }): Promise<Proof> {
  const { folder, verifier } = options;
  const [old, head] = [readAnchor(options.from, verifier), await headOf(options)];
  if (old.size > head.size) {
    throw new RemitError('ERR_USAGE', `the checkpoint of size ${old.size} is later than the one of size ${head.size}`, {
      hint: 'Give the earlier one with --from; if the journal itself is shorter, it was rolled back: `remit audit verify --anchor`.',
    });
  }
  const hashes = await hashRanges(readLeafHashes(folder), consistencyRanges(old.size, head.size));
  const isSound = isConsistent({
    oldSize: old.size,
    oldRoot: old.root,
    size: head.size,
    root: head.root,
    proof: hashes,
  });
  if (!isSound) throw unprovable(folder, undefined);
  return { text: formatConsistency({ oldSize: old.size, hashes, checkpoint: head.note }), size: head.size };
}

async function headOf({ folder, verifier, checkpoint }: ProveOptions): Promise<TreeHead & { note: string }> {
  if (checkpoint === undefined) return await newestCheckpoint(folder, verifier);
  return { ...readAnchor(checkpoint, verifier), note: Buffer.from(checkpoint, 'utf8').toString('latin1') };
}

async function payloadAt(folder: string, index: number): Promise<Buffer | undefined> {
  for await (const { position, payload } of readPayloads(folder, index, {})) {
    return position === index ? Buffer.from(payload) : undefined;
  }
  return undefined;
}

function unprovable(folder: string, record: number | undefined): RemitError {
  return damagedJournal(folder, 0, record, 'its records do not lead to what the checkpoint was signed over');
}
