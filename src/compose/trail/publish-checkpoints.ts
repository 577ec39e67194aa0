import {
  createCheckpointPublisher,
  fileTarget,
  httpTarget,
  type PublishTarget,
} from '../../adapters/journal/publish-checkpoint.ts';
import { createVerifier } from '../../adapters/journal/signed-note.ts';
import { readAnchor } from '../../adapters/journal/verify-journal.ts';
import { messageOf } from '../../domain/errors.ts';
import type { Workspace } from '../workspace.ts';

export interface Publishing {
  /** The newest published checkpoint that could be read, of this journal's key: the log must still contain it (A4). */
  readonly newest: string | undefined;
  readonly offer: (note: string) => void;
  close(): Promise<void>;
}

/** What is published elsewhere of the journal. A target that cannot be read is logged, and does not stop the start. */
export async function openPublishing(workspace: Workspace, origin: string, publicKey: Buffer): Promise<Publishing> {
  const { config, loaded, system } = workspace;
  const { file, url, everySeconds } = config.journal.publish;
  const targets: PublishTarget[] = [
    ...(file === undefined ? [] : [fileTarget(loaded.resolvePath(file))]),
    ...(url === undefined ? [] : [httpTarget(url)]),
  ];
  const verifier = createVerifier(origin, publicKey);
  let newest: { size: number; note: string } | undefined;
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
  const publishers = targets.map((target) =>
    createCheckpointPublisher({ target, everyMs: everySeconds * 1000, schedule: system.schedule, log: system.log }),
  );
  return {
    newest: newest?.note,
    // Notes are read and written as bytes: the dash in front of a signature is three of them.
    offer: (note) => {
      for (const publisher of publishers) publisher.offer(Buffer.from(note, 'latin1').toString('utf8'));
    },
    async close() {
      await Promise.all(publishers.map((publisher) => publisher.close()));
    },
  };
}
