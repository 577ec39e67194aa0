import { isFailing, type Lease } from '../domain/lease.ts';
import type { RevokeContext } from './lease-context.ts';
import { claimSize, sweepBatch, sweepLease } from './sweep-lease.ts';

export interface ReapReport {
  readonly ended: readonly Lease[];
  /** Out of use here, and good at their downstream until the time that each carries. */
  readonly lapsing: readonly Lease[];
  /** Not confirmed: the downstream failed, or an issue call may still be on its way there. Run it again. */
  readonly outstanding: readonly Lease[];
}

/**
 * Revokes without a gateway: needs the lease rows and the issuers, nothing else (L3).
 * `expired` takes what no process answers for any more: what is past its lease or its issue, and what has been left half revoked. Safe beside
 * a running gateway, as each lease is claimed first, and of two that act on one the later claim stands (fault 9).
 * `all` takes every lease there is, for when no gateway runs. One attempt each.
 */
export async function reapLeases(context: RevokeContext, which: 'expired' | 'all'): Promise<ReapReport> {
  const { tenant, repository, claims, claimant, clock } = context;
  const at = clock();
  if (which === 'all') await claims.releaseOthers(tenant, claimant, at, 'reaped');
  const report = { ended: [] as Lease[], lapsing: [] as Lease[], outstanding: [] as Lease[] };
  const { limit, ms } = claimSize(context);

  async function reapOne(lease: Lease): Promise<void> {
    const outcome = await sweepLease(context, lease, 'reaped');
    if (outcome.kind === 'done') {
      if (outcome.lease.state === 'ended') report.ended.push(outcome.lease);
    } else if (outcome.kind !== 'lost') {
      const lastError = outcome.kind === 'failed' ? outcome.error : lease.lastError;
      report.outstanding.push({ ...lease, state: 'revoking', lastError });
    }
  }

  async function reapDownstream(downstream: string): Promise<void> {
    for (;;) {
      // What failed is due again only later than this, so that nothing is tried twice.
      const claim = { by: claimant, at, until: clock() + ms, downstream, limit };
      const claimed = await claims.claimDue(tenant, claim);
      if (claimed.length === 0) return;
      await sweepBatch(context, claimed, reapOne);
    }
  }

  const { downstreams } = await claims.due(tenant, at);
  await Promise.all(downstreams.map(reapDownstream));
  report.lapsing.push(...(await repository.list(tenant, { states: ['lapsing'] })));
  // Somebody's next attempt is not due yet: it is no more revoked for that.
  const tried = new Set(report.outstanding.map(({ id }) => id));
  const open = await repository.list(tenant, { states: ['revoking'] });
  report.outstanding.push(...open.filter((lease) => isFailing(lease) && !tried.has(lease.id)));
  return report;
}
