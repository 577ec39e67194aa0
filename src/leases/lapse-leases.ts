import type { Lease } from '../domain/lease.ts';
import { leaseEvent, type RevokeContext } from './lease-context.ts';
import { faultText, lapseTime } from './revoke-lease.ts';

/** lapsing → ended, when the credential is over at its downstream. */
export interface LapseWatch {
  watch(lease: Lease): void;
  stop(): void;
}

/** Longest wait of a timer: Node's own limit is 2^31 − 1 ms, and a static secret's exception may end later than that. */
const LONGEST_MS = 86_400_000;
const RETRY_MS = 60_000;

/** One timer for the earliest end, however many leases lapse; the rows are asked when it fires. */
export function createLapseWatch(context: RevokeContext): LapseWatch {
  const { tenant, repository, clock, schedule, log } = context;
  let earliest = Number.POSITIVE_INFINITY;
  let cancelTimer: (() => void) | undefined;
  let isStopped = false;

  function arm(time: number): void {
    if (isStopped || time >= earliest) return;
    earliest = time;
    cancelTimer?.();
    cancelTimer = schedule(Math.min(LONGEST_MS, Math.max(0, time - clock())), () => void sweep());
  }

  async function sweep(): Promise<void> {
    earliest = Number.POSITIVE_INFINITY;
    cancelTimer = undefined;
    try {
      for (const lease of await repository.list(tenant, { states: ['lapsing'] })) {
        const end = lapseTime(context, lease);
        if (end !== undefined && end > clock()) arm(end);
        else if (end !== undefined) await endLapsed(context, lease, end);
      }
    } catch (error) {
      log.warn({ error: faultText(error) }, 'lapsed leases could not be closed; it is tried again');
      arm(clock() + RETRY_MS);
    }
  }

  return {
    watch(lease) {
      const end = lapseTime(context, lease);
      if (end !== undefined) arm(end);
    },
    stop() {
      isStopped = true;
      cancelTimer?.();
    },
  };
}

/** @param end when the downstream stopped taking it */
export async function endLapsed(context: RevokeContext, lease: Lease, end: number): Promise<void> {
  const task = await context.taskOf?.(lease.task).catch(() => undefined);
  const detail = { revocation: lease.revocation, reason: lease.endReason, outcome: 'expired' };
  await context.audit(leaseEvent('revocation', lease, task, detail));
  await context.repository.update(lease.tenant, lease.id, ['lapsing'], { state: 'ended', endedAt: end });
}
