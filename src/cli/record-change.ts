import { type Administration, recordAdministration } from '../compose/trail/record-administration.ts';
import type { Workspace } from '../compose/workspace.ts';
import { callAdmin } from './admin-client.ts';

/** Puts a change on the trail before it is made: one that cannot be recorded is not made. */
export function recordChange(workspace: Workspace, change: Administration): Promise<void> {
  return recordAdministration(workspace, change, (detail) =>
    callAdmin(workspace.places.socket, 'record', { detail: JSON.stringify(detail) }),
  );
}
