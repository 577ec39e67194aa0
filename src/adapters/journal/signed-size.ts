import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readCheckpoints } from './checkpoint-file.ts';
import { CHECKPOINT_FILE, VERIFIER_FILE } from './frame.ts';
import { damagedJournal } from './frame-reader.ts';
import { readNewestNotes } from './newest-notes.ts';
import { parseVerifier } from './signed-note.ts';

/** A few notes. */
const TAIL = 2_048;

/** How many records of a journal are under a signature, while it is written to. @throws `ERR_JOURNAL_DAMAGED`, `ERR_JOURNAL_FAILED` */
export async function signedSize(folder: string): Promise<number> {
  const verifier = parseVerifier((await readFile(join(folder, VERIFIER_FILE), 'latin1')).trim());
  const path = join(folder, CHECKPOINT_FILE);
  if (verifier === undefined) throw damagedJournal(join(folder, VERIFIER_FILE), 0, undefined, 'it holds no key');
  const { text, offset } = (await readNewestNotes(path, verifier.name, Number.MAX_SAFE_INTEGER, TAIL)) ?? NONE;
  const read = readCheckpoints(text, verifier, true);
  if ('damage' in read) throw damagedJournal(path, offset + read.damage.offset, undefined, read.damage.what);
  return read.checkpoints.at(-1)?.size ?? 0;
}

const NONE = { text: '', offset: 0 };
