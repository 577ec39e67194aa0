import { freshCedar } from '../../adapters/policy/cedar.ts';
import { messageOf, RemitError } from '../../domain/errors.ts';
import { userKey } from '../../domain/principal.ts';
import { createShadow, type Difference, type ShadowCounts, type ShadowRun } from '../../policy/shadow.ts';
import type { Change } from '../../policy/simulation.ts';
import { MOST_DAYS } from './observations.ts';
import { type PolicyParts, type PolicyPlace, type ReadyPolicies, readyPolicies } from './ready-policies.ts';

/** Policies that are tried beside those in force, until a time. */
export interface ShadowPolicies {
  /** What calls are told to; undefined: nothing is tried. */
  readonly run: ShadowRun | undefined;
  /**
   * Validates the policies of a folder, runs their cases, and asks them of every call from now on. What was tried before ends.
   * @param until RFC 3339
   * @throws `ERR_USAGE`, `ERR_POLICY_INVALID`, `ERR_CONFIG_MISSING`, what `Recorder.record` throws: nothing is tried then that was not before
   */
  begin(folder: string, until: string, by: string): Promise<ShadowStatus>;
  /** @returns undefined where nothing was tried */
  end(why: string): Promise<ShadowStatus | undefined>;
  status(): ShadowStatus | undefined;
}

export interface ShadowStatus {
  readonly folder: string;
  readonly version: string;
  readonly by: string;
  /** RFC 3339. */
  readonly since: string;
  readonly until: string;
  readonly counts: ShadowCounts;
  readonly changes: readonly Change[];
}

interface Trial {
  readonly run: ShadowRun;
  readonly ready: ReadyPolicies;
  readonly about: Pick<ShadowStatus, 'folder' | 'by' | 'since' | 'until'>;
  readonly cancel: () => void;
}

const DAY_MS = 86_400_000;
/** Differences that are recorded one by one; all are counted. */
const MOST_RECORDED = 1_000;

export function openShadow({ estate, system }: PolicyPlace, parts: PolicyParts, signal?: AbortSignal): ShadowPolicies {
  const { clock, schedule, log } = system;
  let trial: Trial | undefined;
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = last.then(work);
    last = mine.catch(() => {});
    return mine;
  };

  async function begin(folder: string, until: string, by: string): Promise<ShadowStatus> {
    const end = Date.parse(until);
    const now = clock();
    if (!(end > now && end <= now + MOST_DAYS * DAY_MS)) {
      throw new RemitError(
        'ERR_USAGE',
        `policies are tried until ${until}: it must be within the next ${MOST_DAYS} days`,
        {
          hint: 'For example --for 24h. What lasts longer nobody looks at.',
        },
      );
    }
    // An instance of its own: what traps in it is not what decides.
    const from = { places: { policies: folder }, estate, system };
    const ready = await readyPolicies(from, { cedar: freshCedar(), signal });
    const about = { folder, by, since: new Date(now).toISOString(), until: new Date(end).toISOString() };
    const { version } = ready.engine;
    try {
      const { policies, cases, files } = ready;
      const detail = { action: 'policy_shadow', ...about, version, policies, cases, files };
      await parts().recorder.record({ type: 'administration', detail });
    } catch (error) {
      ready.engine.release();
      throw error;
    }
    await finish('another is tried');
    let recorded = 0;
    const run = createShadow({
      engine: ready.engine,
      environment: estate.environment,
      clock,
      schedule,
      log,
      onResult: (result) => parts().observed.shadow?.(result),
      onDiffering(difference) {
        recorded += 1;
        if (recorded <= MOST_RECORDED) parts().recordLater(recordOf(difference, version));
      },
      onFailing: () => endLater('it fails'),
    });
    const cancel = schedule(end - clock(), () => endLater('its time is over'));
    trial = { run, ready, about, cancel };
    log.info({ ...about, version }, 'policies are tried beside those in force');
    return statusOf(trial);
  }

  async function finish(why: string): Promise<ShadowStatus | undefined> {
    const ended = trial;
    if (ended === undefined) return undefined;
    // Before anything is waited for: its time may be over.
    trial = undefined;
    ended.cancel();
    ended.run.stop();
    const status = statusOf(ended);
    ended.ready.engine.release();
    const { changes, ...about } = status;
    const most = changes.slice(0, 20).map(({ examples: _spans, why: _why, ...change }) => change);
    log.info({ why, ...about }, 'policies are tried no more');
    await parts().recorder.record({
      type: 'administration',
      detail: { action: 'policy_shadow_ended', why, ...about, changes: most },
    });
    return status;
  }

  function endLater(why: string): void {
    inTurn(() => finish(why)).catch((error: unknown) =>
      log.error({ error: messageOf(error) }, 'the end of a trial of policies is not on the trail'),
    );
  }

  function statusOf({ run, ready, about }: Trial): ShadowStatus {
    const { version } = ready.engine;
    return { ...about, version, counts: { ...run.counts }, changes: run.changes() };
  }

  return {
    get run() {
      return trial?.run;
    },
    begin: (folder, until, by) => inTurn(() => begin(folder, until, by)),
    end: (why) => inTurn(() => finish(why)),
    status: () => (trial === undefined ? undefined : statusOf(trial)),
  };
}

function recordOf(
  { request, from, to }: Difference,
  version: string,
): Parameters<ReturnType<PolicyParts>['recordLater']>[0] {
  const { principal, task, tool, span } = request;
  return {
    type: 'shadow',
    trace: task.trace,
    ...(span !== undefined && { span }),
    ...(principal.user !== undefined && { user: userKey(principal.user) }),
    agent: principal.agent,
    task: task.id,
    connector: tool.connector,
    tool: tool.ref,
    detail: { version, from: from.verdict, was: from.policies, to: to.verdict, by: to.policies, reason: to.reason },
  };
}
