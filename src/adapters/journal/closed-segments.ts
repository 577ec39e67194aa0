import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readCheckpoints } from './checkpoint-file.ts';
import {
  BLOCK,
  CHECKPOINT_FILE,
  FRAME_HEADER_LENGTH,
  isZero,
  leavesFile,
  notesFile,
  segmentFile,
  VERIFIER_FILE,
} from './frame.ts';
import { damagedJournal, readFault } from './frame-reader.ts';
import { headerAt } from './incomplete-write.ts';
import { readNewestNotes } from './newest-notes.ts';
import { blocksFor } from './segment-file.ts';
import { listSegments } from './segments.ts';
import { parseVerifier, type Verifier } from './signed-note.ts';

/** A file that is not written to any more, with its name in the journal’s folder, and in a copy of it. */
export interface ClosedFile {
  readonly name: string;
  read(): Promise<Buffer>;
}

/** A segment that is full, or of which retention has left the leaf hashes, under a signature as a whole. */
export interface ClosedSegment {
  readonly number: number;
  readonly first: number;
  readonly end: number;
  /** What it holds, then the checkpoints over sizes behind its first record, up to its end. */
  readonly files: readonly ClosedFile[];
}

/**
 * Segments that end behind a position and are closed, oldest first; of all of them together a copy of the journal can be made that verifies.
 * @throws `ERR_JOURNAL_DAMAGED`, `ERR_JOURNAL_FAILED`
 */
export async function closedSegments(folder: string, from: number): Promise<ClosedSegment[]> {
  const { begun } = await listSegments(folder);
  const verifier = parseVerifier((await verifierText(folder)).trim());
  if (verifier === undefined) throw damagedJournal(join(folder, VERIFIER_FILE), 0, undefined, 'it holds no key');
  const signed = (await notesFrom(folder, verifier, Number.MAX_SAFE_INTEGER)).heads.at(-1)?.size ?? 0;
  const closed: ClosedSegment[] = [];
  let first = 0;
  for (const [index, { number, header, hasFrames }] of begun.slice(0, -1).entries()) {
    if (header !== undefined) first = header.first;
    const name = hasFrames ? segmentFile(number) : leavesFile(number);
    const end = begun[index + 1]?.header?.first ?? first + (await stat(join(folder, name))).size / 32;
    if (end > signed) break;
    if (end > from) {
      const range = { first, end };
      closed.push({
        number,
        ...range,
        files: [
          {
            name,
            async read() {
              const bytes = await readFile(join(folder, name));
              return hasFrames ? withoutRoom(bytes) : bytes;
            },
          },
          { name: notesFile(number), read: () => notesOf(folder, verifier, range) },
        ],
      });
    }
    first = end;
  }
  return closed;
}

/** A segment is cut to its length a moment after it was closed, or never, where a crash came between: a copy is the same at any time. */
function withoutRoom(bytes: Buffer): Buffer {
  let end = BLOCK;
  for (let header = headerAt(bytes, end); header !== undefined; header = headerAt(bytes, end)) {
    end += FRAME_HEADER_LENGTH + header.length;
  }
  // Of one that is damaged everything is kept.
  return isZero(bytes.subarray(end)) ? bytes.subarray(0, blocksFor(end)) : bytes;
}

/** The verifier key, which comes before anything else of a copy. */
export const keyFile = (folder: string): ClosedFile => ({
  name: VERIFIER_FILE,
  read: async () => Buffer.from(await verifierText(folder), 'latin1'),
});

const verifierText = async (folder: string): Promise<string> => await readFile(join(folder, VERIFIER_FILE), 'latin1');

interface Notes {
  readonly text: string;
  readonly heads: readonly { readonly size: number; readonly offset: number }[];
  readonly length: number;
}

async function notesFrom(folder: string, verifier: Verifier, size: number): Promise<Notes> {
  const path = join(folder, CHECKPOINT_FILE);
  const notes = await readNewestNotes(path, verifier.name, size);
  if (notes === undefined) throw readFault(path, Object.assign(new Error('it is missing'), { code: 'ENOENT' }));
  const read = readCheckpoints(notes.text, verifier, true);
  if ('damage' in read) throw damagedJournal(path, notes.offset + read.damage.offset, undefined, read.damage.what);
  return { text: notes.text, heads: read.checkpoints, length: read.length };
}

/** All that will ever be over these sizes: a later one has been signed already. */
async function notesOf(folder: string, verifier: Verifier, range: { first: number; end: number }): Promise<Buffer> {
  const { text, heads, length } = await notesFrom(folder, verifier, range.first);
  const wanted = heads.flatMap(({ size, offset }, index) =>
    (size > range.first || range.first === 0) && size <= range.end
      ? [text.slice(offset, heads[index + 1]?.offset ?? length)]
      : [],
  );
  return Buffer.from(wanted.join(''), 'latin1');
}
