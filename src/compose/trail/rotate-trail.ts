import type { Workspace } from '../workspace.ts';
import { openJournal } from './open-journal.ts';
import { administrator } from './record-administration.ts';

export interface RotatedTrail {
  /** Position of the first record of the new segment. */
  readonly first: number;
}

/** Begins a new segment where no gateway runs: its first record says who did. @throws `ERR_ALREADY_RUNNING`, `ERR_JOURNAL_*` */
export async function rotateTrail(workspace: Workspace): Promise<RotatedTrail> {
  const { journal, recorder } = await openJournal(workspace, () => {
    throw new Error('an administrative record has no sealed content');
  });
  try {
    journal.endSegment();
    const detail = { action: 'journal_rotate', by: administrator() };
    return { first: await recorder.record({ type: 'administration', detail }) };
  } finally {
    await journal.close();
  }
}
