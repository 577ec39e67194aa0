import type { CedarEngine } from '../../adapters/policy/cedar-engine.ts';
import { messageOf, RemitError } from '../../domain/errors.ts';
import type { Observer } from '../../policy/observe.ts';
import { openObserver } from './observations.ts';
import { type PolicyParts, type PolicyPlace, type ReadyPolicies, readyPolicies } from './ready-policies.ts';
import { openShadow, type ShadowPolicies } from './shadow-policies.ts';

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
   * Validates, runs the cases, records, swaps. One after the other; calls are decided by the version before meanwhile, and wait for nothing of it.
   * @param by who asks for it
   * @throws `ERR_POLICY_INVALID`, `ERR_CONFIG_MISSING`, what `Recorder.record` throws: the version before stays in force
   */
  reload(by: string): Promise<Reloaded>;
  /** Whose denials are only observed for a while. */
  readonly observer: Observer | undefined;
  /** Others that are asked beside them. */
  readonly shadow: ShadowPolicies;
  /** Ends what is only for a while. */
  close(): Promise<void>;
}

/** An engine that was replaced is kept for who may still ask it: a decision whose links are judged by somebody far away takes seconds. */
const KEPT_MS = 30_000;

/** Reads what is in force from the start on. @throws as `readyPolicies`, `openObserver` */
export async function openPolicies(workspace: PolicyPlace, parts: PolicyParts): Promise<PolicyInForce> {
  const { schedule, log } = workspace.system;
  let inForce = await readyPolicies(workspace);
  let last: Promise<unknown> = Promise.resolve();
  const observations = openObserver(
    workspace,
    ({ of, id }) => parts().observed.letThrough?.(of, id),
    ({ of, id, until }, calls) => {
      log.info({ of, id, calls }, 'policies that were only observed bind again');
      const detail = { action: 'observation_ended', of, id, until: new Date(until).toISOString(), calls };
      // By a timer: what is not there yet, while a gateway starts, must not end it.
      try {
        parts().recordLater({ type: 'administration', detail });
      } catch (error) {
        log.error({ error: messageOf(error) }, 'the end of an observation is not on the trail');
      }
    },
  );
  const stopping = new AbortController();
  const { signal } = stopping;
  const shadow = openShadow(workspace, parts, signal);

  async function reload(by: string): Promise<Reloaded> {
    const from = inForce.engine.version;
    const next = await readyOrRecorded(by);
    if (signal.aborted) {
      next.engine.release();
      throw signal.reason;
    }
    const to = next.engine.version;
    const { policies, cases, files } = next;
    if (to === from) {
      next.engine.release();
      return { from, to, policies, cases };
    }
    try {
      const detail = { action: 'policy_reload', from, to, policies, cases, files, by };
      await parts().recorder.record({ type: 'administration', detail });
    } catch (error) {
      next.engine.release();
      throw error;
    }
    const { engine: replaced } = inForce;
    inForce = next;
    schedule(KEPT_MS, () => replaced.release());
    log.info({ from, to, policies, cases, by }, 'other policies are in force');
    for (const connector of workspace.estate.connectors.keys())
      for (const kind of ['tools', 'prompts', 'resources'] as const) parts().wire.hub.listChanged(connector, kind);
    return { from, to, policies, cases };
  }

  /** What is refused is on the trail too, as far as that can be: who tried, and why it was not put in force. */
  async function readyOrRecorded(by: string): Promise<ReadyPolicies> {
    try {
      return await readyPolicies(workspace, { signal });
    } catch (error) {
      if (signal.aborted) throw error;
      const { code = 'ERR_INTERNAL', where } = error instanceof RemitError ? error : {};
      const detail = { action: 'policy_reload_refused', inForce: inForce.engine.version, code, where, by };
      await parts()
        .recorder.record({ type: 'administration', detail })
        .catch((failure: unknown) => log.error({ error: messageOf(failure) }, 'a refused reload is not on the trail'));
      throw error;
    }
  }

  return {
    observer: observations.observer,
    shadow,
    async close() {
      observations.close();
      stopping.abort(
        new RemitError('ERR_GATEWAY_UNREACHABLE', 'the gateway stops: the policies were not reloaded', {
          hint: 'Its next start reads the folder.',
        }),
      );
      await last;
      await shadow.end('the gateway stops');
    },
    engine: () => inForce.engine,
    current: () => inForce,
    reload(by) {
      const mine = last.then(() => reload(by));
      last = mine.catch(() => {});
      return mine;
    },
  };
}
