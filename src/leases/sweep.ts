import { backoff } from './backoff.ts';
import type { RevokeContext } from './lease-context.ts';
import { faultText } from './revoke-lease.ts';
import { claimSize, sweepBatch, sweepLease } from './sweep-lease.ts';

/** Ends what no process answers for any more, and what has lapsed: from the rows, a few at a time. */
export interface Sweep {
  /** Looks now, and then for good: when the next claim is over, and every so often for what other processes leave. */
  begin(): void;
  /** Something is due at this time. */
  expect(at: number): void;
  /** Resolves when nothing is being swept: all is done, or rests until a later time. */
  idle(): Promise<void>;
  /** Leases that it has ended, or found to lapse. */
  readonly settled: number;
  stop(): void;
}

/** Longest wait of a timer: Node's own limit is 2^31 − 1 ms, and a static secret's exception may end later than that. */
const LONGEST_MS = 86_400_000;

/**
 * One lane a downstream, so that one that hangs holds up no other. A lane claims a handful of leases, works through them, and claims the next:
 * what is in memory does not grow with what is due. Where a whole handful failed it rests, longer each time up to the cap.
 */
export function createSweep(context: RevokeContext, reasonElse: string): Sweep {
  const { tenant, claims, claimant, clock, schedule, random, limits, log } = context;
  const lanes = new Map<string, Promise<void>>();
  const rests = new Map<string, { readonly failures: number; readonly until: number }>();
  const { limit, ms } = claimSize(context);
  let looking: Promise<void> | undefined;
  let isLookingAgain = false;
  let isBegun = false;
  let isStopped = false;
  let settled = 0;
  let dueAt = Number.POSITIVE_INFINITY;
  let cancelTimer: (() => void) | undefined;

  function arm(at: number): void {
    if (isStopped || at >= dueAt) return;
    dueAt = at;
    cancelTimer?.();
    cancelTimer = schedule(Math.min(LONGEST_MS, Math.max(0, at - clock())), () => {
      cancelTimer = undefined;
      dueAt = Number.POSITIVE_INFINITY;
      look();
    });
  }

  function look(): void {
    isLookingAgain = true;
    looking ??= lookOn().finally(() => {
      looking = undefined;
    });
  }

  async function lookOn(): Promise<void> {
    while (isLookingAgain && !isStopped) {
      isLookingAgain = false;
      try {
        const { downstreams, next } = await claims.due(tenant, clock());
        for (const downstream of downstreams) {
          const restsUntil = rests.get(downstream)?.until ?? 0;
          if (restsUntil > clock()) arm(restsUntil);
          else if (!lanes.has(downstream)) begin(downstream);
        }
        if (next !== undefined) arm(next);
      } catch (error) {
        log.warn({ error: faultText(error) }, 'leases that are due cannot be looked for; it is tried again');
        arm(clock() + backoff(1, limits.retryCapMs, limits.retryCapMs, random));
      }
    }
    if (isBegun) arm(clock() + backoff(1, limits.sweepMs, limits.sweepMs, random));
  }

  function begin(downstream: string): void {
    const lane = sweepLane(downstream)
      .catch((error: unknown) => {
        log.warn({ downstream, error: faultText(error) }, 'a sweep broke off; it is tried again');
        arm(clock() + backoff(1, limits.retryCapMs, limits.retryCapMs, random));
      })
      .finally(() => {
        lanes.delete(downstream);
        // Became due while the lane was ending; and when it is due again is not known yet.
        if (!isStopped) look();
      });
    lanes.set(downstream, lane);
  }

  async function sweepLane(downstream: string): Promise<void> {
    while (!isStopped) {
      const at = clock();
      const claimed = await claims.claimDue(tenant, { by: claimant, at, until: at + ms, downstream, limit });
      if (claimed.length === 0) break;
      let failed = 0;
      await sweepBatch(context, claimed, async (lease) => {
        if (isStopped) return;
        const outcome = await sweepLease(context, lease, reasonElse);
        if (outcome.kind === 'failed') failed++;
        else if (outcome.kind === 'done' && lease.state !== 'lapsing') settled++;
      });
      if (failed === claimed.length) return rest(downstream);
      rests.delete(downstream);
    }
  }

  function rest(downstream: string): void {
    const failures = (rests.get(downstream)?.failures ?? 0) + 1;
    rests.set(downstream, { failures, until: clock() + backoff(failures, limits.retryMs, limits.retryCapMs, random) });
  }

  return {
    begin() {
      isBegun = true;
      look();
    },
    expect: arm,
    async idle() {
      while (looking !== undefined || lanes.size > 0) await Promise.all([looking, ...lanes.values()]);
    },
    get settled() {
      return settled;
    },
    stop() {
      isStopped = true;
      cancelTimer?.();
    },
  };
}
