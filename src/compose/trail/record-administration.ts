import type { RecordEntry } from '../../audit/recorder.ts';
import { isRemitError } from '../../domain/errors.ts';
import { accountName } from '../account-name.ts';
import type { Workspace } from '../workspace.ts';
import { openJournal } from './open-journal.ts';

/** What a person changed from the command line, for the trail. */
export interface Administration {
  readonly action: string;
  readonly [detail: string]: unknown;
}

/** The operating system's account that runs this process: who administers is who may open the data folder. */
export const administrator = (): string => accountName();

/**
 * Puts an administrative change on the trail: through the gateway that runs here, which alone may write its journal, or else directly.
 * @param tellGateway hands the change to a running gateway; throws `ERR_GATEWAY_UNREACHABLE` when there is none
 */
export async function recordAdministration(
  workspace: Workspace,
  change: Administration,
  tellGateway: (change: Administration) => Promise<unknown>,
): Promise<void> {
  const detail = { ...change, by: administrator() };
  await recordByHand(workspace, { type: 'administration', detail }, () => tellGateway(detail));
}

/** What was read of the sealed content on the trail, and why. */
export interface ContentRead {
  readonly about: string;
  readonly reason: string;
  readonly records: number;
  /** Whose key opens it, where auditors are named. */
  readonly auditorKey?: string;
}

/** Puts it on the trail that somebody is about to read content: what cannot be recorded is not read. */
export async function recordContentRead(
  workspace: Workspace,
  read: ContentRead,
  of: Pick<RecordEntry, 'task' | 'trace'>,
  tellGateway: (entry: RecordEntry) => Promise<unknown>,
): Promise<void> {
  const entry: RecordEntry = { type: 'content_read', ...of, detail: { ...read, by: administrator() } };
  await recordByHand(workspace, entry, () => tellGateway(entry));
}

async function recordByHand(
  workspace: Workspace,
  entry: RecordEntry,
  tellGateway: () => Promise<unknown>,
): Promise<void> {
  try {
    await tellGateway();
    return;
  } catch (error) {
    if (!isRemitError(error, 'ERR_GATEWAY_UNREACHABLE')) throw error;
  }
  const { journal, recorder } = await openJournal(withNothingFar(workspace), () => {
    throw new Error('an administrative record has no sealed content');
  });
  try {
    await recorder.record(entry);
  } finally {
    await journal.close();
  }
}

/**
 * Somebody waits for the record, perhaps to stop something: of where checkpoints are published nothing is asked over a network that may be what is broken. A gateway
 * compares and publishes at its next start.
 */
function withNothingFar(workspace: Workspace): Workspace {
  const { publish, ...journal } = workspace.config.journal;
  const near = { ...publish, url: undefined };
  return { ...workspace, config: { ...workspace.config, journal: { ...journal, publish: near, ship: {} } } };
}
