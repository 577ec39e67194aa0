import { mkdir, rename, truncate, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { RemitError } from '../../domain/errors.ts';
import type { Log, Schedule } from '../../seams/clock.ts';
import { AppendFile, type WriteBytes } from './append-file.ts';
import { signCheckpoint } from './checkpoint-file.ts';
import type { JournalSigner } from './ed25519-signer.ts';
import { lockFolder } from './exclusive-lock.ts';
import { FileJournal } from './file-journal.ts';
import { CHECKPOINT_FILE, segmentFile, VERIFIER_FILE } from './frame.ts';
import { damagedJournal } from './frame-reader.ts';
import { type SoundJournal, scanJournal } from './scan-journal.ts';
import { SegmentChain, type SegmentChainOptions, syncFolder } from './segment-chain.ts';
import { SegmentFile } from './segment-file.ts';
import { readIfThere } from './segments.ts';
import { createVerifier, isKeyName, type Verifier } from './signed-note.ts';
import { readAnchor } from './verify-journal.ts';
import { AT_OPENING, writeFault } from './write-watch.ts';

export interface FileJournalOptions {
  /** Made if missing; its parent must exist or be makeable. One process at a time. */
  readonly folder: string;
  /** Name of this log and of its key: printable ASCII without spaces and `+`, for example `remit.example.org/audit`. */
  readonly origin: string;
  readonly signer: JournalSigner;
  /** A tree head is signed after so many payloads, */
  readonly checkpointEvery?: number;
  /** and within twice so many milliseconds. */
  readonly checkpointMs?: number;
  /** A segment is full when it would become longer; 32 MiB. */
  readonly segmentBytes?: number;
  /** Fewer bytes of checkpoints are not thinned; 256 KiB. */
  readonly thinFrom?: number;
  /** How long a log that was deleted, moved or replaced may go unnoticed while it is written to (A3); 250. */
  readonly checkMs?: number;
  /** A checkpoint (signed note) kept elsewhere, which the log must still contain. */
  readonly anchor?: string;
  /** A write that takes longer counts as failed, within twice this time (A3). */
  readonly stallMs?: number;
  readonly schedule?: Schedule;
  readonly clock?: () => number;
  readonly log?: Pick<Log, 'warn'>;
  /** Told the text of each new checkpoint, once it is stored. */
  readonly onCheckpoint?: (note: string, size: number) => void;
  /** Told when another segment has been begun. */
  readonly onSegment?: () => void;
  /** Replaces `fs.write` in tests of disk faults. */
  readonly write?: WriteBytes;
}

const scheduleUnreferenced: Schedule = (ms, task) => {
  const timer = setTimeout(task, ms).unref();
  return () => clearTimeout(timer);
};

/**
 * Opens a journal, or makes one, after reading its last segment; what is before that is under a checkpoint's signature.
 * Only an incomplete last write is removed (A4).
 * @throws `ERR_JOURNAL_DAMAGED`, `ERR_ALREADY_RUNNING`, `ERR_JOURNAL_FULL`, `ERR_JOURNAL_FAILED`, `ERR_USAGE` (options)
 */
export async function openFileJournal(options: FileJournalOptions): Promise<FileJournal> {
  const { signer, checkpointEvery = 1024, stallMs = 5_000, checkMs = 250, segmentBytes = 32 * 1024 * 1024 } = options;
  const folder = resolve(options.folder);
  if (!isKeyName(options.origin)) {
    const hint = 'Use printable ASCII without spaces and without +.';
    throw new RemitError('ERR_USAGE', 'the origin of the journal is not a key name', { where: options.origin, hint });
  }
  if (!Number.isSafeInteger(checkpointEvery) || checkpointEvery < 1) {
    throw new RemitError('ERR_USAGE', `a checkpoint every ${checkpointEvery} records is impossible`);
  }
  const verifier = createVerifier(options.origin, signer.publicKey);
  const anchor = options.anchor === undefined ? undefined : readAnchor(options.anchor, verifier);

  await asWrite(folder, makeFolder(folder));
  const unlock = lockFolder(folder);
  const closers: (() => Promise<void>)[] = [];
  const { log, write } = options;
  const schedule = options.schedule ?? scheduleUnreferenced;
  const fileOptions = { schedule, stallMs, checkMs, write };
  const warn = (fault: RemitError): void =>
    log?.warn({ error: fault.message, file: fault.where }, 'trouble with the journal’s disk');
  const chainOptions = {
    ...fileOptions,
    folder,
    segmentBytes,
    clock: options.clock ?? Date.now,
    onNoRoom: warn,
    onTrouble: warn,
    onBegun: options.onSegment,
  };
  try {
    const storedKey = await readIfThere(join(folder, VERIFIER_FILE));
    if (storedKey !== undefined && storedKey.toString('latin1') !== `${verifier.text}\n`) {
      throw damagedJournal(join(folder, VERIFIER_FILE), 0, undefined, 'it was written under another key or origin');
    }
    const found = await scanJournal(folder, verifier, { anchor, fromLastSegment: true });
    if ('kind' in found) throw damagedJournal(found.where.file, found.where.offset, found.where.record, found.what);
    if (storedKey === undefined && found.tree.size > 0) {
      throw damagedJournal(join(folder, VERIFIER_FILE), 0, undefined, 'its verifier key is missing');
    }
    await truncateNotes(folder, found, log);
    const chain = await openChain(found, chainOptions, log);
    closers.push(() => chain.close());
    const openCheckpoints = () => AppendFile.open(join(folder, CHECKPOINT_FILE), fileOptions);
    const checkpoints = await openCheckpoints();
    closers.push(() => checkpoints.close());
    if (found.head === undefined) {
      const head = { size: found.tree.size, root: found.tree.root() };
      await appendWhole(checkpoints, Buffer.from(signCheckpoint(head, verifier, signer), 'latin1'));
    }
    // The key's file marks a journal that was made whole: from then on a missing file is damage.
    if (storedKey === undefined) await asWrite(folder, storeVerifier(folder, verifier));

    return new FileJournal({
      folder,
      chain,
      checkpoints,
      reopenCheckpoints: openCheckpoints,
      thinFrom: options.thinFrom ?? 256 * 1024,
      tree: found.tree,
      signedSize: found.head?.size ?? 0,
      verifier,
      signer,
      checkpointEvery,
      checkpointMs: options.checkpointMs ?? 1_000,
      schedule,
      unlock,
      onCheckpoint: options.onCheckpoint,
    });
  } catch (error) {
    await Promise.all(closers.map((close) => close()));
    unlock();
    throw error;
  }
}

async function openChain(
  found: SoundJournal,
  options: SegmentChainOptions,
  log: Pick<Log, 'warn'> | undefined,
): Promise<SegmentChain> {
  const { folder, clock } = options;
  const number = found.segments.at(-1)?.number ?? 0;
  const path = join(folder, segmentFile(number));
  if (found.dirtyEnd > found.logLength) {
    const removed = found.dirtyEnd - found.logLength;
    log?.warn({ file: path, length: found.logLength, removed }, 'removed an incomplete last write of the journal');
  }
  const segment = await SegmentFile.open(path, found.logLength, found.dirtyEnd, options);
  if (segment.length === 0)
    await segment.begin({ first: found.tree.size, begunAt: clock(), peaks: found.tree.peaks() });
  await asWrite(folder, syncFolder(folder));
  return new SegmentChain(options, number, segment, found.leaves);
}

async function makeFolder(folder: string): Promise<void> {
  const firstMade = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (firstMade === undefined) return;
  for (let path = folder; path.length >= firstMade.length; path = dirname(path)) await syncFolder(dirname(path));
}

async function truncateNotes(folder: string, found: SoundJournal, log: Pick<Log, 'warn'> | undefined): Promise<void> {
  const { checkpointsLength: length, checkpointsFileLength: fileLength } = found;
  if (fileLength === length) return;
  const path = join(folder, CHECKPOINT_FILE);
  // The next append is durable with this file's length: it needs no sync of its own.
  await asWrite(path, truncate(path, length));
  log?.warn({ file: path, length, removed: fileLength - length }, 'removed an incomplete last write of the journal');
}

async function storeVerifier(folder: string, verifier: Verifier): Promise<void> {
  await syncFolder(folder);
  const path = join(folder, VERIFIER_FILE);
  await writeFile(`${path}.new`, `${verifier.text}\n`, { mode: 0o644, flush: true });
  await rename(`${path}.new`, path);
  await syncFolder(folder);
}

function appendWhole(file: AppendFile, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    file.append(bytes, (fault) => (fault === undefined ? resolve() : reject(fault)));
  });
}

async function asWrite<T>(path: string, work: Promise<T>): Promise<T> {
  return await work.catch((cause) => {
    throw writeFault(path, cause, AT_OPENING);
  });
}
