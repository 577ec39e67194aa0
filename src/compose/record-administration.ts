import { userInfo } from 'node:os';
import { isRemitError } from '../domain/errors.ts';
import { openJournal } from './open-journal.ts';
import type { Workspace } from './workspace.ts';

/** What a person changed from the command line, for the trail. */
export interface Administration {
  readonly action: string;
  readonly [detail: string]: unknown;
}

/** The operating system's account that runs this process: who administers is who may open the data folder. */
export const administrator = (): string => userInfo().username;

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
  try {
    await tellGateway(detail);
    return;
  } catch (error) {
    if (!isRemitError(error, 'ERR_GATEWAY_UNREACHABLE')) throw error;
  }
  const { journal, recorder } = await openJournal(workspace, () => {
    throw new Error('an administrative record has no sealed content');
  });
  try {
    await recorder.record({ type: 'administration', detail });
  } finally {
    await journal.close();
  }
}
