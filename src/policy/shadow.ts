import type { Decision } from '../domain/decision.ts';
import { messageOf } from '../domain/errors.ts';
import type { FlowLabels } from '../domain/flow.ts';
import type { Clock, Log, Schedule } from '../seams/clock.ts';
import type { PolicyEngine } from '../seams/policy-engine.ts';
import { type CallRequest, createDecider, type Decider } from './decide.ts';
import { type Change, createChanges } from './simulation.ts';

export const SHADOW_RESULTS = ['same', 'differing', 'failed', 'dropped'] as const;
/** `failed`: the candidate, or the policies in force, had a fault. `dropped`: more calls waited than are kept. */
export type ShadowResult = (typeof SHADOW_RESULTS)[number];
export type ShadowCounts = Readonly<Record<ShadowResult, number>>;

/** What two sets of policies said of one call. */
export interface Difference {
  readonly request: CallRequest;
  readonly from: Said;
  readonly to: Said;
}

type Said = Pick<Decision, 'verdict' | 'policies' | 'reason'>;

type LabelsOf = (task: CallRequest['task']) => FlowLabels;

/** Policies that are asked beside those in force, after these have answered: nobody waits for them, and nothing follows from what they say. */
export interface ShadowRun {
  /** Takes a call that has been decided; never throws. */
  note(request: CallRequest, decision: Decision, labelsOf: LabelsOf): void;
  readonly counts: ShadowCounts;
  /** What they decide otherwise, grouped. */
  changes(): Change[];
  /** Nothing is asked any more; what waits is given up. Idempotent. */
  stop(): void;
}

export interface ShadowOptions {
  readonly engine: PolicyEngine;
  readonly environment: string;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly log: Log;
  readonly onResult: (result: ShadowResult) => void;
  readonly onDiffering: (difference: Difference) => void;
  /** Its faults are too many: whoever runs it should end it. */
  readonly onFailing: () => void;
}

interface Waiting {
  readonly request: CallRequest;
  readonly decision: Decision;
  /** What its task had read by then: the call has not joined what it will read. */
  readonly labels: FlowLabels;
  readonly at: number;
}

/** Calls that wait at most: what waits holds its arguments in memory. */
const MOST_WAITING = 1_000;
/** Asked without letting others in: a few milliseconds. */
const A_TURN = 16;
/** Faults one after the other. */
const MOST_FAULTS = 100;
const MOST_CHANGES = 500;

export function createShadow(options: ShadowOptions): ShadowRun {
  const { engine, environment, clock, schedule, log } = options;
  const counts: Record<ShadowResult, number> = { same: 0, differing: 0, failed: 0, dropped: 0 };
  const collected = createChanges(MOST_CHANGES);
  const waiting: Waiting[] = [];
  /** Decision points outside ask for the decision again: it stays one call. */
  const noted = new WeakSet<CallRequest>();
  let asked: Waiting | undefined;
  let hasFault = false;
  let faults = 0;
  let cancel: (() => void) | undefined;
  let isStopped = false;

  const candidate: Decider = createDecider({
    engine: () => watched,
    environment,
    labelsOf: () => (asked as Waiting).labels,
    // Judged as of then: the task has gone on meanwhile.
    clock: () => (asked as Waiting).at,
  });
  /** An answer that no policy gave is a fault of the engine, whatever it says. */
  const watched: PolicyEngine = {
    version: engine.version,
    evaluate(request) {
      const answer = engine.evaluate(request);
      if ('then' in answer) throw new Error('a candidate answers at once');
      if (answer.verdict === 'deny' && answer.isJudged !== true && answer.policies.length === 0) hasFault = true;
      return answer;
    },
  };

  function count(result: ShadowResult): void {
    counts[result] += 1;
    options.onResult(result);
  }

  function compare(one: Waiting): void {
    asked = one;
    hasFault = false;
    const { request, decision } = one;
    const again = candidate.decideCall(request);
    if (again instanceof Promise) throw new Error('a candidate answers at once');
    if (hasFault || again.gate === 'fault' || decision.gate === 'fault') {
      fail();
      return;
    }
    faults = 0;
    const from = saidBy(decision);
    const to = saidBy(again);
    if (from.verdict === to.verdict) {
      count('same');
      return;
    }
    count('differing');
    collected.add({
      kind: 'call',
      agent: request.principal.agent,
      tool: request.tool.ref,
      span: request.span ?? '',
      from,
      to,
      // They are asked of what policies let pass only.
      unjudged: from.verdict === 'deny' ? ['data flow', 'risk'] : [],
    });
    options.onDiffering({ request, from, to });
  }

  function fail(): void {
    count('failed');
    faults += 1;
    if (faults === MOST_FAULTS) options.onFailing();
  }

  function takeTurn(): void {
    cancel = undefined;
    for (let left = A_TURN; left > 0 && !isStopped; left -= 1) {
      const one = waiting.shift();
      if (one === undefined) return;
      try {
        compare(one);
      } catch (error) {
        log.warn({ error: messageOf(error) }, 'a call could not be compared with the shadow policies');
        fail();
      }
    }
    if (!isStopped && waiting.length > 0) cancel = schedule(1, takeTurn);
  }

  return {
    counts,
    changes: () => collected.list(),
    note(request, decision, labelsOf) {
      try {
        if (isStopped || noted.has(request)) return;
        noted.add(request);
        if (waiting.length >= MOST_WAITING) {
          count('dropped');
          return;
        }
        waiting.push({ request, decision, labels: labelsOf(request.task), at: clock() });
        cancel ??= schedule(1, takeTurn);
      } catch (error) {
        log.warn({ error: messageOf(error) }, 'a call could not be noted for the shadow policies');
      }
    },
    stop() {
      isStopped = true;
      waiting.length = 0;
      cancel?.();
    },
  };
}

/** What policies said of it: a denial that is only observed is one. */
function saidBy({ wouldDeny, verdict, policies, reason }: Decision): Said {
  if (wouldDeny === undefined) return { verdict, policies, reason };
  return { verdict: 'deny', policies: wouldDeny.policies, reason: wouldDeny.reason };
}

/** A decider whose calls are told to a shadow, where there is one: otherwise that is one comparison. */
export function withShadow(
  decider: Decider,
  shadow: { readonly run: ShadowRun | undefined },
  labelsOf: LabelsOf,
): Decider {
  return {
    decideDiscovery: (request) => decider.decideDiscovery(request),
    decideCall(request) {
      const decision = decider.decideCall(request);
      const { run } = shadow;
      if (run === undefined) return decision;
      if (!(decision instanceof Promise)) {
        run.note(request, decision, labelsOf);
        return decision;
      }
      return decision.then((late) => {
        run.note(request, late, labelsOf);
        return late;
      });
    },
  };
}
