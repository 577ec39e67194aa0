import { createCedarEngine } from '../../adapters/policy/cedar-engine.ts';
import type { Estate } from '../estate.ts';
import { makePolicySet, readPolicyTexts } from './policies.ts';
import { type CaseResult, runPolicyCases } from './run-policy-cases.ts';

export interface TriedPolicies {
  readonly version: string;
  /** How many. */
  readonly policies: number;
  readonly results: readonly CaseResult[];
  /** Policies that decided no case. */
  readonly undecided: readonly string[];
}

/** Runs the cases of a folder of policies on those policies, without a gateway. @throws `ERR_POLICY_INVALID`, `ERR_CONFIG_MISSING` */
export async function tryPolicies(folder: string, estate: Estate): Promise<TriedPolicies> {
  const { loaded, cases } = await makePolicySet(await readPolicyTexts(folder), estate);
  const engine = createCedarEngine(loaded);
  try {
    const results = await runPolicyCases(cases, engine, estate);
    const deciding = new Set(results.flatMap(({ decision }) => decision.policies));
    const undecided = loaded.policies.map(({ id }) => id).filter((id) => !deciding.has(id));
    return { version: engine.version, policies: loaded.policies.length, results, undecided };
  } finally {
    engine.release();
  }
}
