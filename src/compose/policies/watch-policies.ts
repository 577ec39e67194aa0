import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../../config/schema.ts';
import { isRemitError, messageOf, RemitError } from '../../domain/errors.ts';
import { repeat } from '../repeat.ts';
import { createGrowingPause } from './growing-pause.ts';
import { listPolicyFiles } from './policies.ts';
import type { PolicyInForce } from './policy-in-force.ts';
import type { PolicyPlace } from './ready-policies.ts';

/** Between two looks at the folder. What has changed is read when it looks the same twice: whoever writes has finished then. */
const LOOK_MS = 1_000;

type WatchedPlace = Pick<PolicyPlace, 'places' | 'system'> & { readonly config: Pick<Config, 'policyReload'> };

/** Who changed a folder is not known. */
const WRITER = 'whoever wrote the folder';

/**
 * Reloads when the folder has changed, where the configuration says so. It is looked at again and again: notifications of a file system are
 * lost where folders are mounted or replaced as links. What was refused for what it says is tried again when it has changed; where the store
 * or the trail would not have it, later.
 * @returns stops it
 */
export function followPolicies(
  { config: { policyReload }, places: { policies: folder }, system: { schedule, log } }: WatchedPlace,
  policies: Pick<PolicyInForce, 'follow'>,
): () => void {
  if (policyReload === 'manual') return () => {};
  let tried: string | undefined;
  let seen: string | undefined;
  const pause = createGrowingPause();
  return repeat(schedule, LOOK_MS, async () => {
    const now = await looksOf(folder);
    // What was there when this began is in force already, and read once more to the same end.
    const hasSettled = now === seen;
    if (!hasSettled) pause.end();
    seen = now;
    if (!hasSettled || now === tried || pause.skips()) return;
    tried = now;
    try {
      await policies.follow(WRITER);
    } catch (error) {
      const { where, hint } = error instanceof RemitError ? error : {};
      log.error({ error: messageOf(error), where, hint }, 'the policies were not reloaded: those before stay in force');
      if (isRemitError(error, 'ERR_POLICY_INVALID') || isRemitError(error, 'ERR_CONFIG_MISSING')) return;
      tried = undefined;
      pause.lengthen();
    }
  });
}

/** Names, sizes and times of the files that count; a folder that cannot be read looks like no other. */
async function looksOf(folder: string): Promise<string> {
  try {
    const names = await listPolicyFiles(folder);
    const looks = await Promise.all(
      names.map(async (name) => {
        const { size, mtimeMs, ctimeMs, ino } = await stat(join(folder, name));
        return [name, size, mtimeMs, ctimeMs, ino];
      }),
    );
    return JSON.stringify(looks);
  } catch (error) {
    return messageOf(error);
  }
}
