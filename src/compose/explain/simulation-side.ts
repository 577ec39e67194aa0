import { createCedarEngine } from '../../adapters/policy/cedar-engine.ts';
import type { Estate } from '../estate.ts';
import { readPolicies } from '../policies/policies.ts';
import { createReplayer } from './replay-decision.ts';
import type { Side } from './simulate.ts';

/** A folder of policies over an estate, ready to decide. @throws `ERR_POLICY_INVALID`, `ERR_CONFIG_MISSING` */
export async function readSide(estate: Estate, folder: string): Promise<Side> {
  const engine = createCedarEngine(await readPolicies(folder, estate));
  return { estate, replayer: createReplayer(estate, engine) };
}
