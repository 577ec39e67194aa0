import type { RevokeContext } from './lease-context.ts';
import type { Sweep } from './sweep.ts';

export interface RecoveryReport {
  /** Leases that an earlier process left open. */
  readonly found: number;
  /** Of those, not confirmed as ended or lapsing yet; they are tried on. */
  readonly outstanding: number;
}

/**
 * At start, every lease that is neither ended nor lapsing belongs to a process that is gone (L5), or, among several nodes, to an earlier life of
 * this one or to another node: its claim ends unless it is another's, and all are swept. An
 * `intended` one may have been issued or not, and its issue call may still be on its way: that is revoked now and again
 * after its deadline (L4). Waits for the sweep for a bounded time only; it goes on behind.
 * @throws `ERR_STORE_*` when the rows cannot be changed: then the gateway must not serve
 */
export async function recoverLeases(context: RevokeContext, sweep: Sweep): Promise<RecoveryReport> {
  const { tenant, claims, claimant, node, clock, limits, log } = context;
  const found = await claims.releaseOthers(tenant, claimant, clock(), 'gateway_restarted', node);
  const before = sweep.settled;
  sweep.begin();
  await new Promise<void>((resolve) => {
    const cancel = context.schedule(limits.recoverWaitMs, resolve);
    void sweep.idle().then(() => {
      cancel();
      resolve();
    });
  });
  const outstanding = Math.max(0, found - (sweep.settled - before));
  if (found > 0) log.info({ found, outstanding }, 'leases of an earlier process are revoked');
  return { found, outstanding };
}
