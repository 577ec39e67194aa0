import type { CedarRuntime } from '../../adapters/policy/cedar.ts';
import { type CedarEngine, createCedarEngineInTurns } from '../../adapters/policy/cedar-engine.ts';
import type { RecordEntry, Recorder } from '../../audit/recorder.ts';
import type { Config } from '../../config/schema.ts';
import type { Hub } from '../../gateway/events/hub.ts';
import type { OpenTelemetry } from '../open-telemetry.ts';
import type { Workspace } from '../workspace.ts';
import { assertCasesHold } from './case-report.ts';
import { makePolicySet, type PolicyFileDigest, readPolicyTexts } from './policies.ts';
import type { NamedText } from './policy-cases.ts';
import { runPolicyCases } from './run-policy-cases.ts';
import type { SharedPolicies } from './share-policies.ts';

/** Where policies lie, and what they are read against. */
export type PolicyPlace = Pick<Workspace, 'estate' | 'system'> & {
  readonly places: Pick<Workspace['places'], 'policies'>;
  readonly config: Pick<Config, 'observe'>;
};

/** Where what becomes of policies is told. Asked for when it is needed: at the start there is nothing of it. */
export type PolicyParts = () => {
  /** A change is on the trail before it is made. */
  readonly recorder: Recorder;
  readonly recordLater: (entry: RecordEntry) => void;
  /** Clients that listen are told to list anew. */
  readonly wire: { readonly hub: Pick<Hub, 'listChanged'> };
  readonly observed: Pick<OpenTelemetry, 'letThrough' | 'shadow'>;
  /** Among several nodes: policies that one puts in force are in force at all. */
  readonly shared?: Pick<SharedPolicies, 'publish'> | undefined;
};

/** One version of the policies, ready to decide. */
export interface ReadyPolicies {
  readonly engine: CedarEngine;
  readonly policies: number;
  readonly cases: number;
  readonly files: readonly PolicyFileDigest[];
  readonly texts: readonly NamedText[];
}

/**
 * Reads, validates and tries policies, beside all else.
 * @param given those of another node; else what lies in the policies folder
 * @throws `ERR_POLICY_INVALID`, `ERR_CONFIG_MISSING`; the reason of the signal
 */
export async function readyPolicies(
  { places, estate, system }: Pick<PolicyPlace, 'places' | 'estate' | 'system'>,
  options: {
    readonly cedar?: CedarRuntime;
    readonly signal?: AbortSignal | undefined;
    readonly given?: readonly NamedText[] | undefined;
  } = {},
): Promise<ReadyPolicies> {
  const { cedar, signal, given } = options;
  const texts = given ?? (await readPolicyTexts(places.policies));
  const { loaded, cases, files } = await makePolicySet(texts, estate, signal);
  const engine = await createCedarEngineInTurns({ ...loaded, log: system.log }, cedar, signal);
  try {
    assertCasesHold(await runPolicyCases(cases, engine, estate));
    return { engine, policies: loaded.policies.length, cases: cases.length, files, texts };
  } catch (error) {
    engine.release();
    throw error;
  }
}
