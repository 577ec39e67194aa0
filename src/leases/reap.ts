import type { Lease } from '../domain/lease.ts';
import { endLapsed } from './lapse-leases.ts';
import type { RevokeContext } from './lease-context.ts';
import { createLimiter } from './limit-concurrency.ts';
import { attemptRevoke, lapseTime, markRevoking } from './revoke-lease.ts';

export interface ReapReport {
  readonly ended: readonly Lease[];
  /** Out of use here, and good at their downstream until the time that each carries. */
  readonly lapsing: readonly Lease[];
  /** Not confirmed: the downstream failed, or an issue call may still be on its way there. Run it again. */
  readonly outstanding: readonly Lease[];
}

/**
 * Revokes without a gateway: needs the lease rows and the issuers, nothing else (L3).
 * `expired` is safe beside a running gateway: it takes what is past its lease, and what is being revoked already.
 * `all` takes every lease there is, for when no gateway runs. One attempt each.
 */
export async function reapLeases(context: RevokeContext, which: 'expired' | 'all'): Promise<ReapReport> {
  const { tenant, repository, clock, limits } = context;
  const rows = await repository.list(tenant, { states: ['intended', 'active', 'revoking', 'lapsing'] });
  const isDue = (lease: Lease): boolean => {
    if (which === 'all' || lease.state === 'revoking') return true;
    const end = lease.state === 'intended' ? lease.issueDeadline : lease.expiresAt;
    return end + limits.skewMs <= clock();
  };
  const report = { ended: [] as Lease[], lapsing: [] as Lease[], outstanding: [] as Lease[] };
  const limit = createLimiter(limits.revokesAtOnce);

  async function revoke(lease: Lease): Promise<void> {
    const reason = lease.endReason ?? 'reaped';
    await markRevoking(context, lease, reason);
    const isConclusive = lease.state === 'active' || lease.issueDeadline + limits.skewMs <= clock();
    const attempt = { isConclusive, number: lease.attempts + 1 };
    const outcome = await attemptRevoke(context, lease, undefined, reason, attempt);
    if (outcome.kind !== 'done') {
      const lastError = outcome.kind === 'failed' ? outcome.error : lease.lastError;
      report.outstanding.push({ ...lease, state: 'revoking', lastError });
    } else if (outcome.lease.state === 'lapsing') report.lapsing.push(outcome.lease);
    else report.ended.push(outcome.lease);
  }

  async function lapse(lease: Lease): Promise<void> {
    const end = lapseTime(context, lease);
    if (end === undefined || end > clock()) {
      report.lapsing.push(lease);
      return;
    }
    await endLapsed(context, lease, end);
    report.ended.push({ ...lease, state: 'ended', endedAt: end });
  }

  const lapsing = rows.filter((lease) => lease.state === 'lapsing');
  const due = rows.filter((lease) => lease.state !== 'lapsing' && isDue(lease));
  await Promise.all(due.map((lease) => limit(lease.connector, () => revoke(lease))));
  for (const lease of lapsing) await lapse(lease);
  return report;
}
