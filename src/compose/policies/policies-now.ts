import { versionOf } from '../../adapters/policy/cedar-version.ts';
import type { Estate } from '../estate.ts';
import type { PoliciesNow } from '../explain/explain-call.ts';
import { readPolicies } from './policies.ts';

/** Policies of the folder with their version; undefined where they cannot be read: what was decided is on the trail all the same. */
export async function readPoliciesNow(folder: string, estate: Estate): Promise<PoliciesNow | undefined> {
  try {
    const loaded = await readPolicies(folder, estate);
    return { version: versionOf(loaded), policies: loaded.policies };
  } catch {
    return undefined;
  }
}
