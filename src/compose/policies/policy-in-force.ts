import { type CedarEngine, createCedarEngine } from '../../adapters/policy/cedar-engine.ts';
import type { Recorder } from '../../audit/recorder.ts';
import { messageOf, RemitError } from '../../domain/errors.ts';
import type { Hub } from '../../gateway/events/hub.ts';
import type { Workspace } from '../workspace.ts';
import { assertCasesHold } from './case-report.ts';
import { type PolicyFileDigest, readPolicySet } from './policies.ts';
import { runPolicyCases } from './run-policy-cases.ts';

/** Where policies lie, and what they are read against. */
export type PolicyPlace = Pick<Workspace, 'estate' | 'system'> & {
  readonly places: Pick<Workspace['places'], 'policies'>;
};

/** One version of the policies, ready to decide. */
export interface ReadyPolicies {
  readonly engine: CedarEngine;
  readonly policies: number;
  readonly cases: number;
  readonly files: readonly PolicyFileDigest[];
}

/** What became of a reload that was not refused. */
export interface Reloaded {
  /** Version that decided until now. */
  readonly from: string;
  /** Version that decides from now on; the same where nothing that decides has changed. */
  readonly to: string;
  readonly policies: number;
  readonly cases: number;
}

/** The policies in force: one version at a time, swapped whole. */
export interface PolicyInForce {
  /** Asked once a decision, so that all of it is judged by one version. */
  readonly engine: () => CedarEngine;
  readonly current: () => ReadyPolicies;
  /**
   * Validates, runs the cases, records, swaps. One after the other.
   * @param by who asks for it
   * @throws `ERR_POLICY_INVALID`, `ERR_CONFIG_MISSING`, what `Recorder.record` throws: the version before stays in force
   */
  reload(by: string): Promise<Reloaded>;
}

/** An engine that was replaced is kept for who may still ask it: a decision whose links are judged by somebody far away takes seconds. */
const KEPT_MS = 30_000;

/** Reads, validates and tries what lies in the policies folder. @throws `ERR_POLICY_INVALID`, `ERR_CONFIG_MISSING` */
export async function readyPolicies({ places, estate, system }: PolicyPlace): Promise<ReadyPolicies> {
  const { loaded, cases, files } = await readPolicySet(places.policies, estate);
  const engine = createCedarEngine({ ...loaded, log: system.log });
  try {
    assertCasesHold(await runPolicyCases(cases, engine, estate));
    return { engine, policies: loaded.policies.length, cases: cases.length, files };
  } catch (error) {
    engine.release();
    throw error;
  }
}

/**
 * Reads what is in force from the start on. @throws as `readyPolicies`
 * @param recorder asked for when a reload is; a change is on the trail before it is made
 * @param wire clients that listen are told to list anew
 */
export async function openPolicies(
  workspace: PolicyPlace,
  parts: { readonly recorder: () => Recorder; readonly wire: () => { readonly hub: Pick<Hub, 'listChanged'> } },
): Promise<PolicyInForce> {
  const { schedule, log } = workspace.system;
  let inForce = await readyPolicies(workspace);
  let last: Promise<unknown> = Promise.resolve();

  async function reload(by: string): Promise<Reloaded> {
    const from = inForce.engine.version;
    const next = await readyOrRecorded(by);
    const to = next.engine.version;
    const { policies, cases, files } = next;
    if (to === from) {
      next.engine.release();
      return { from, to, policies, cases };
    }
    try {
      const detail = { action: 'policy_reload', from, to, policies, cases, files, by };
      await parts.recorder().record({ type: 'administration', detail });
    } catch (error) {
      next.engine.release();
      throw error;
    }
    const { engine: replaced } = inForce;
    inForce = next;
    schedule(KEPT_MS, () => replaced.release());
    log.info({ from, to, policies, cases, by }, 'other policies are in force');
    for (const connector of workspace.estate.connectors.keys())
      for (const kind of ['tools', 'prompts', 'resources'] as const) parts.wire().hub.listChanged(connector, kind);
    return { from, to, policies, cases };
  }

  /** What is refused is on the trail too, as far as that can be: who tried, and why it was not put in force. */
  async function readyOrRecorded(by: string): Promise<ReadyPolicies> {
    try {
      return await readyPolicies(workspace);
    } catch (error) {
      const { code = 'ERR_INTERNAL', where } = error instanceof RemitError ? error : {};
      const detail = { action: 'policy_reload_refused', inForce: inForce.engine.version, code, where, by };
      await parts
        .recorder()
        .record({ type: 'administration', detail })
        .catch((failure: unknown) => log.error({ error: messageOf(failure) }, 'a refused reload is not on the trail'));
      throw error;
    }
  }

  return {
    engine: () => inForce.engine,
    current: () => inForce,
    reload(by) {
      const mine = last.then(() => reload(by));
      last = mine.catch(() => {});
      return mine;
    },
  };
}
