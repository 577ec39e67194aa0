import { ed25519Signer, newSignerKey } from '../../adapters/journal/ed25519-signer.ts';
import { openFileJournal } from '../../adapters/journal/open-file-journal.ts';
import { createVerifier } from '../../adapters/journal/signed-note.ts';
import { type ReadTrail, readTrail } from '../../audit/read-trail.ts';
import { createRecorder, type RecordEntry, type Recorder, type SealInput } from '../../audit/recorder.ts';
import { foldEntry, type TrailState } from '../../audit/trail-state.ts';
import { type Failure, isRemitError, messageOf } from '../../domain/errors.ts';
import { Secret } from '../../domain/secret.ts';
import type { Journal, SegmentedJournal } from '../../seams/journal.ts';
import { assertKeyOfStore } from '../credentials/state-key.ts';
import type { Workspace } from '../workspace.ts';
import { keepOwner } from './keep-owner.ts';
import { openPublishing } from './publish-checkpoints.ts';
import { originOf } from './store-heads.ts';

/** Name of the journal's signing key in the vault: each node has a journal, and a key, of its own. */
export const signingKeyName = ({ node }: Pick<Workspace, 'node'>): string =>
  node === undefined ? 'remit-journal-key' : `remit-journal-key-${node}`;

export interface OpenJournal {
  readonly journal: SegmentedJournal;
  readonly recorder: Recorder;
  readonly recordLater: (entry: RecordEntry) => void;
  /** Resolves when the journal has failed: nothing can be recorded any more, so nothing may be served. */
  readonly failed: Promise<Failure>;
  /** From now on what is recorded is folded into this state. */
  readonly follow: (state: TrailState) => void;
}

export interface OpenMore {
  readonly measured?: (journal: Journal) => Journal;
  /** Told when another segment of it has been begun. */
  readonly onSegment?: () => void;
}

export interface OpenTrail extends OpenJournal {
  readonly trail: ReadTrail;
}

/**
 * Opens the journal and reads what its records say of the present.
 * @throws what `openJournal` and `readTrail` throw; the journal is closed then
 */
export async function openTrail(...of: Parameters<typeof openJournal>): Promise<OpenTrail> {
  const opened = await openJournal(...of);
  try {
    const trail = await readTrail(opened.journal);
    opened.follow(trail.state);
    return { ...opened, trail };
  } catch (error) {
    await opened.journal.close();
    throw error;
  }
}

/** Opens the journal for this process alone, with its signing key out of the vault (made at the first start). */
export async function openJournal(workspace: Workspace, seal: SealInput, more: OpenMore = {}): Promise<OpenJournal> {
  const { places, vault, system, estate, config } = workspace;
  const signer = ed25519Signer(await signingKey());
  const origin = originOf(estate.tenant, signer.publicKey);
  let fail: (failure: Failure) => void = () => {};
  const failed = new Promise<Failure>((resolve) => {
    fail = resolve;
  });
  const published = await openPublishing(workspace, createVerifier(origin, signer.publicKey), (what) => {
    system.log.error({ what }, 'the journal is not the one that other nodes know: the gateway stops');
    fail({ why: 'journal contradicted by what other nodes have seen of it', code: 'ERR_JOURNAL_DAMAGED' });
  });
  const files = await openFileJournal({
    folder: places.journal,
    origin,
    signer,
    segmentBytes: config.journal.segmentMiB * 1024 * 1024,
    schedule: system.schedule,
    clock: system.clock,
    log: system.log,
    ...(published.newest !== undefined && { anchor: published.newest }),
    onCheckpoint: published.offer,
    ...(more.onSegment !== undefined && { onSegment: more.onSegment }),
  }).catch(async (error: unknown) => {
    await published.close();
    throw error;
  });
  const journal: SegmentedJournal = {
    append: (payload) => files.append(payload),
    appendLater: (payload, onFault) => files.appendLater(payload, onFault),
    get size() {
      return files.size;
    },
    read: (from) => files.read(from),
    checkpoint: () => files.checkpoint(),
    segments: () => files.segments(),
    endSegment: () => files.endSegment(),
    removeBefore: (position, announce) => files.removeBefore(position, announce),
    thinCheckpoints: (before) => files.thinCheckpoints(before),
    // The last checkpoint is made by the close.
    close: () =>
      files
        .close()
        .finally(() => published.close())
        .finally(() => keepOwner(places.node, places.journal)),
  };
  let followed: TrailState | undefined;
  const recorder = createRecorder({
    journal: more.measured?.(journal) ?? journal,
    clock: system.clock,
    tenant: estate.tenant,
    seal,
    follow: (position, entry) => {
      if (followed !== undefined) foldEntry(followed, position, entry);
    },
  });
  // One function for all records: the journal tells each of them once.
  const stop = (error: unknown): void => {
    system.log.error({ error: messageOf(error) }, 'a record could not be written: the gateway stops');
    fail({ why: 'journal failed', code: 'ERR_JOURNAL_FAILED' });
  };
  return {
    journal,
    recorder,
    failed,
    follow(state) {
      followed = state;
    },
    recordLater: (entry) => recorder.recordLater(entry, stop),
  };

  async function signingKey(): Promise<Buffer> {
    const name = signingKeyName(workspace);
    try {
      return (await vault.get(name)).revealBytes();
    } catch (error) {
      if (!isRemitError(error, 'ERR_SECRET_MISSING')) throw error;
      await assertKeyOfStore(workspace);
      const key = newSignerKey(system.random);
      await vault.put(name, new Secret(key));
      return key;
    }
  }
}
