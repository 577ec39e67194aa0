import type { Check } from '../diagnose.ts';
import type { Workspace } from '../workspace.ts';
import { folderVersion } from './policies.ts';
import { policiesNow, readInForce } from './read-in-force.ts';

/** The line of `remit doctor` about what several gateways have in force, and this host's folder beside it. @throws as `readInForce`, `ERR_POLICY_INVALID` */
export async function checkInForce(
  workspace: Workspace,
): Promise<Omit<Check, 'name' | 'state'> & Pick<Partial<Check>, 'state'>> {
  const { estate, places } = workspace;
  const sourced = await readInForce(workspace);
  const { source } = sourced;
  if (source.isBeforeFirst) return { what: 'no gateway has put any in force at this store yet' };
  const { version } = policiesNow(sourced, estate);
  const what = `${version}, by ${source.by}`;
  if (source.folderHolds === 'the same') return { what: `${what}; ${places.policies} holds them` };
  // One that is not valid has its line.
  const folder = await folderVersion(places.policies, estate).catch(() => undefined);
  if (folder === undefined || folder === version) return { what };
  return {
    state: 'warn',
    what: `${places.policies} holds other policies than are in force: ${folder}, not ${what}`,
    hint: 'Bring the folder up to date (`remit policy export FOLDER` writes those in force); or put it in force, at all nodes, with `remit policy reload`.',
  };
}
