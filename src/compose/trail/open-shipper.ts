import { closedSegments, keyFile } from '../../adapters/journal/closed-segments.ts';
import { parseVerifier } from '../../adapters/journal/signed-note.ts';
import type { Recorder } from '../../audit/recorder.ts';
import { createShipper, type Shipper } from '../../audit/ship-segments.ts';
import type { TrailState } from '../../audit/trail-state.ts';
import type { Workspace } from '../workspace.ts';
import { openArchive } from './open-archive.ts';

/** Ships what is closed of this journal; undefined when nothing is to be shipped. @throws `ERR_CONFIG_INVALID`, `ERR_JOURNAL_FAILED` */
export async function openShipper(parts: {
  workspace: Workspace;
  recorder: Recorder;
  state: TrailState;
  onShipped: () => void;
}): Promise<Shipper | undefined> {
  const { workspace, recorder, state, onShipped } = parts;
  const { places, system } = workspace;
  const opened = await openArchive(workspace);
  if (opened === undefined) return undefined;
  const { archive, close } = opened;
  const shipper = createShipper({
    archive,
    base: await journalOrigin(places.journal),
    key: keyFile(places.journal),
    closed: (from) => closedSegments(places.journal, from),
    recorder,
    state,
    onShipped,
    schedule: system.schedule,
    log: system.log,
  });
  return {
    ...shipper,
    async stop() {
      await shipper.stop();
      await close();
    },
  };
}

/** Name of the log in a folder, which no other has. */
export async function journalOrigin(folder: string): Promise<string> {
  return parseVerifier((await keyFile(folder).read()).toString('latin1').trim())?.name ?? '';
}
