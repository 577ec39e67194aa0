import { createCedarEngine } from '../../adapters/policy/cedar-engine.ts';
import type { Config } from '../../config/schema.ts';
import type { Estate } from '../estate.ts';
import { scopeOf } from '../policies/build-decider.ts';
import { loadSourced, readFolder, type SourcedPolicies } from '../policies/read-in-force.ts';
import { createReplayer, type ReplayOptions } from './replay-decision.ts';
import type { Side } from './simulate.ts';

/** A folder of policies over an estate, ready to decide. @throws `ERR_POLICY_INVALID`, `ERR_CONFIG_MISSING` */
export async function readSide(estate: Estate, folder: string, options: ReplayOptions = {}): Promise<Side> {
  return makeSide(estate, await readFolder(folder), options);
}

/** The same of policies that have been read. @throws `ERR_POLICY_INVALID` */
export function makeSide(estate: Estate, policies: SourcedPolicies, options: ReplayOptions = {}): Side {
  const engine = createCedarEngine(loadSourced(policies, estate));
  return { estate, replayer: createReplayer(estate, engine, options) };
}

/** What beside policies has a say under a configuration, and is not on the trail. */
export function besidePolicies({ policy, flow }: Pick<Config, 'policy' | 'flow'>): ReplayOptions {
  return { points: policy.external.map(scopeOf), isMarked: flow.marked.dataClasses.length > 0 };
}
