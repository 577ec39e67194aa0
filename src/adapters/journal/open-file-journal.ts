import { mkdir, open, rename, truncate, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { RemitError } from '../../domain/errors.ts';
import type { Log, Schedule } from '../../seams/clock.ts';
import { AppendFile, type WriteBytes, writeFault } from './append-file.ts';
import { signCheckpoint } from './checkpoint-file.ts';
import type { JournalSigner } from './ed25519-signer.ts';
import { lockFolder } from './exclusive-lock.ts';
import { FileJournal } from './file-journal.ts';
import { CHECKPOINT_FILE, LOG_FILE, SEGMENT_HEADER, VERIFIER_FILE } from './frame.ts';
import { damagedJournal } from './frame-reader.ts';
import { readIfThere, type SoundJournal, scanJournal } from './scan-journal.ts';
import { createVerifier, isKeyName, type Verifier } from './signed-note.ts';
import { readAnchor } from './verify-journal.ts';

export interface FileJournalOptions {
  /** Made if missing; its parent must exist or be makeable. One process at a time. */
  readonly folder: string;
  /** Name of this log and of its key: printable ASCII without spaces and `+`, for example `remit.example.org/audit`. */
  readonly origin: string;
  readonly signer: JournalSigner;
  /** A tree head is signed after so many payloads. */
  readonly checkpointEvery?: number;
  /** A checkpoint (signed note) kept elsewhere, which the log must still contain. */
  readonly anchor?: string;
  /** A write that takes longer counts as failed, within twice this time (A3). */
  readonly stallMs?: number;
  readonly schedule?: Schedule;
  readonly log?: Pick<Log, 'warn'>;
  /** Replaces `fs.write` in tests of disk faults. */
  readonly write?: WriteBytes;
}

const scheduleUnreferenced: Schedule = (ms, task) => {
  const timer = setTimeout(task, ms).unref();
  return () => clearTimeout(timer);
};

/**
 * Opens a journal, or makes one, after reading all of it. Only an incomplete last write is removed (A4).
 * @throws `ERR_JOURNAL_DAMAGED`, `ERR_ALREADY_RUNNING`, `ERR_JOURNAL_FULL`, `ERR_JOURNAL_FAILED`, `ERR_USAGE` (options)
 */
export async function openFileJournal(options: FileJournalOptions): Promise<FileJournal> {
  const { signer, checkpointEvery = 256, stallMs = 5_000 } = options;
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
  const files: AppendFile[] = [];
  const fileOptions = { schedule: options.schedule ?? scheduleUnreferenced, stallMs, write: options.write };
  try {
    const storedKey = await readIfThere(join(folder, VERIFIER_FILE));
    if (storedKey !== undefined && storedKey.toString('latin1') !== `${verifier.text}\n`) {
      throw damagedJournal(join(folder, VERIFIER_FILE), 0, undefined, 'it was written under another key or origin');
    }
    const found = await scanJournal(folder, verifier, anchor);
    if ('kind' in found) throw damagedJournal(found.where.file, found.where.offset, found.where.record, found.what);
    if (storedKey === undefined && found.tree.size > 0) {
      throw damagedJournal(join(folder, VERIFIER_FILE), 0, undefined, 'its verifier key is missing');
    }
    await truncateIncomplete(folder, found, options.log);

    const log = await AppendFile.open(join(folder, LOG_FILE), fileOptions);
    files.push(log);
    if (log.length === 0) await appendWhole(log, SEGMENT_HEADER);
    const checkpoints = await AppendFile.open(join(folder, CHECKPOINT_FILE), fileOptions);
    files.push(checkpoints);
    if (found.head === undefined) {
      const head = { size: found.tree.size, root: found.tree.root() };
      await appendWhole(checkpoints, Buffer.from(signCheckpoint(head, verifier, signer), 'latin1'));
    }
    // The key's file marks a journal that was made whole: from then on a missing file is damage.
    if (storedKey === undefined) await asWrite(folder, storeVerifier(folder, verifier));

    return new FileJournal({
      log,
      checkpoints,
      tree: found.tree,
      signedSize: found.head?.size ?? 0,
      offsets: found.offsets,
      verifier,
      signer,
      checkpointEvery,
      schedule: fileOptions.schedule,
      unlock,
    });
  } catch (error) {
    await Promise.all(files.map((file) => file.close()));
    unlock();
    throw error;
  }
}

async function makeFolder(folder: string): Promise<void> {
  const firstMade = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (firstMade === undefined) return;
  for (let path = folder; path.length >= firstMade.length; path = dirname(path)) await syncFolder(dirname(path));
}

/** Without this, a file that was made just before a power failure may be gone after it. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  await handle.sync().finally(() => handle.close());
}

async function truncateIncomplete(
  folder: string,
  found: SoundJournal,
  log: Pick<Log, 'warn'> | undefined,
): Promise<void> {
  const tails = [
    { path: join(folder, LOG_FILE), length: found.logLength, fileLength: found.logFileLength },
    { path: join(folder, CHECKPOINT_FILE), length: found.checkpointsLength, fileLength: found.checkpointsFileLength },
  ];
  for (const { path, length, fileLength } of tails) {
    if (fileLength === length) continue;
    // The next append is durable with this file's length: it needs no sync of its own.
    await asWrite(path, truncate(path, length));
    log?.warn({ file: path, length, removed: fileLength - length }, 'removed an incomplete last write of the journal');
  }
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
    file.append(bytes, bytes.length, (fault) => (fault === undefined ? resolve() : reject(fault)));
  });
}

async function asWrite<T>(path: string, work: Promise<T>): Promise<T> {
  return await work.catch((cause) => {
    throw writeFault(path, cause);
  });
}
