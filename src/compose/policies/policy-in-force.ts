import type { CedarEngine } from '../../adapters/policy/cedar-engine.ts';
import { messageOf, RemitError } from '../../domain/errors.ts';
import type { Observer } from '../../policy/observe.ts';
import { openObserver } from './observations.ts';
import type { NamedText } from './policy-cases.ts';
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

/** Policies that another node has put in force. */
export interface GivenPolicies {
  readonly texts: readonly NamedText[];
  readonly by: string;
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
  /** The same, but where the folder holds what it held when it was read last, nothing changes: other nodes may have put others in force since. @throws as `reload` */
  follow(by: string): Promise<Reloaded>;
  /**
   * Puts in force, the same way, what another node has put in force.
   * @param find asked when its turn has come; undefined: there is nothing new
   * @throws as `reload`
   */
  takeUp(find: () => Promise<GivenPolicies | undefined>): Promise<void>;
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
  /** What the folder held when it was in force last. */
  let folder = JSON.stringify(inForce.files);
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

  async function change(by: string, given?: GivenPolicies, isFollowing = false): Promise<Reloaded> {
    const from = inForce.engine.version;
    const next = await orRecorded(by, () => ready(given));
    const { policies, cases, files, texts } = next;
    if (isFollowing && JSON.stringify(files) === folder) {
      next.engine.release();
      return { from, to: from, policies: inForce.policies, cases: inForce.cases };
    }
    const to = next.engine.version;
    const said = { from, to, policies, cases };
    try {
      if (to !== from)
        await parts().recorder.record({
          type: 'administration',
          detail: { action: 'policy_reload', ...said, files, by },
        });
      if (given === undefined) await orRecorded(by, async () => parts().shared?.publish({ texts, by }));
    } catch (error) {
      next.engine.release();
      throw error;
    }
    if (given === undefined) folder = JSON.stringify(files);
    if (to === from) {
      next.engine.release();
      inForce = { ...inForce, cases, files, texts };
      return said;
    }
    const { engine: replaced } = inForce;
    inForce = next;
    schedule(KEPT_MS, () => replaced.release());
    log.info({ from, to, policies, cases, by }, 'other policies are in force');
    for (const connector of workspace.estate.connectors.keys())
      for (const kind of ['tools', 'prompts', 'resources'] as const) parts().wire.hub.listChanged(connector, kind);
    return said;
  }

  async function ready(given: GivenPolicies | undefined): Promise<ReadyPolicies> {
    const next = await readyPolicies(workspace, { signal, given: given?.texts });
    if (!signal.aborted) return next;
    next.engine.release();
    throw signal.reason;
  }

  /** What is refused is on the trail too, as far as that can be: who tried, and why it was not put in force. */
  async function orRecorded<T>(by: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
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

  /** One after the other. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = last.then(work);
    last = mine.catch(() => {});
    return mine;
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
    reload: (by) => inTurn(() => change(by)),
    follow: (by) => inTurn(() => change(by, undefined, true)),
    takeUp: (find) =>
      inTurn(async () => {
        const given = await find();
        if (given !== undefined) await change(given.by, given);
      }),
  };
}
