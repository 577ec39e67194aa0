import {
  createCheckpointPublisher,
  fileTarget,
  httpTarget,
  type PublishTarget,
} from '../../adapters/journal/publish-checkpoint.ts';
import type { Verifier } from '../../adapters/journal/signed-note.ts';
import { readAnchor } from '../../adapters/journal/verify-journal.ts';
import { messageOf } from '../../domain/errors.ts';
import type { Archive } from '../../seams/archive.ts';
import { repeat } from '../repeat.ts';
import { workerFolder } from '../workers/worker.ts';
import type { Workspace } from '../workspace.ts';
import { openArchive } from './open-archive.ts';
import { CHECK_MS, HEAD_MS, storeHeads } from './store-heads.ts';

export interface Publishing {
  /** The newest published checkpoint that could be read, of this journal's key: the log must still contain it (A4). */
  readonly newest: string | undefined;
  readonly offer: (note: string) => void;
  close(): Promise<void>;
}

/** Workers share a configuration, and each has a journal: none may replace another's checkpoint. */
const workerPath = (path: string, worker: Workspace['worker']): string =>
  worker === undefined ? path : `${path}.${workerFolder(worker.number)}`;

function workerUrl(text: string, worker: Workspace['worker']): string {
  const url = new URL(text);
  url.pathname = workerPath(url.pathname, worker);
  return worker === undefined ? text : url.href;
}

/**
 * What is published elsewhere of the journal. A target that cannot be read is logged, and does not stop the start; the store that is shared with other
 * nodes does, as everything of it.
 * @param onContradicted told when the others know this journal otherwise than it is
 * @throws what `StoreHeads.newest` throws
 */
export async function openPublishing(
  workspace: Workspace,
  verifier: Verifier,
  onContradicted: (what: string) => void,
): Promise<Publishing> {
  const origin = verifier.name;
  const { config, loaded, system, worker } = workspace;
  const { file, url, everySeconds } = config.journal.publish;
  const targets: PublishTarget[] = [
    ...(file === undefined ? [] : [fileTarget(workerPath(loaded.resolvePath(file), worker))]),
    ...(url === undefined ? [] : [httpTarget(workerUrl(url, worker))]),
  ];
  const opened = await openArchive(workspace);
  const archived = opened && archiveTarget(opened.archive, origin);
  if (archived !== undefined) targets.push(archived);
  const shared = storeHeads(workspace, verifier, onContradicted);
  const seen = await shared?.newest();
  let newest = seen === undefined ? undefined : { size: readAnchor(seen, verifier).size, note: seen };
  for (const target of targets) {
    try {
      const note = await target.read();
      // One of another key is of an earlier journal: one that was damaged, and accepted as such.
      if (note === undefined || !note.startsWith(`${origin}\n`)) continue;
      const { size } = readAnchor(note, verifier);
      if (newest === undefined || size > newest.size) newest = { size, note };
    } catch (error) {
      const { name } = target;
      system.log.error(
        { target: name, error: messageOf(error) },
        'the published checkpoint cannot be read: not compared',
      );
    }
  }
  const { schedule, log } = system;
  const publishers = targets.map((target) =>
    createCheckpointPublisher({
      target,
      everyMs: target === archived ? Math.max(ARCHIVE_MS, everySeconds * 1000) : everySeconds * 1000,
      schedule,
      log,
    }),
  );
  if (shared !== undefined) {
    publishers.push(createCheckpointPublisher({ target: shared.target, everyMs: HEAD_MS, schedule, log }));
  }
  // A store that is down has the gateway deny everything by itself.
  const stopChecking =
    shared &&
    repeat(schedule, CHECK_MS, () => shared.check().catch((error: unknown) => log.warn(...notChecked(error))));
  return {
    newest: newest?.note,
    // Notes are read and written as bytes: the dash in front of a signature is three of them.
    offer: (note) => {
      for (const publisher of publishers) publisher.offer(Buffer.from(note, 'latin1').toString('utf8'));
    },
    async close() {
      stopChecking?.();
      await Promise.all(publishers.map((publisher) => publisher.close()));
      await opened?.close();
    },
  };
}

const notChecked = (error: unknown): [object, string] => [
  { error: messageOf(error) },
  'what the other nodes know of this node’s journal could not be read',
];

/** A request to an archive costs money. */
const ARCHIVE_MS = 60_000;
const ARCHIVE_WITHIN_MS = 10_000;

/** Beside the segments of this journal; read at the start as all that is published. */
function archiveTarget(archive: Archive, origin: string): PublishTarget {
  const name = `${origin}/newest.checkpoint`;
  const within = (): AbortSignal => AbortSignal.timeout(ARCHIVE_WITHIN_MS);
  return {
    name: `${archive.name}/${name}`,
    publish: (note) => archive.replace(name, Buffer.from(note, 'utf8'), within()),
    read: async () => (await archive.read(name, within()))?.toString('utf8'),
  };
}
