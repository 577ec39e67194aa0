import type { LeaseId } from '../domain/ids.ts';
import type { LapseWatch } from './lapse-leases.ts';
import type { RevokeContext } from './lease-context.ts';
import type { Revocations } from './revocations.ts';

export interface RecoveryReport {
  /** Leases that an earlier process left open. */
  readonly found: number;
  /** Of those, not confirmed as ended or lapsing yet; they are tried on. */
  readonly outstanding: number;
}

/**
 * At start, every lease that is neither ended nor lapsing belongs to a process that is gone (L5): all are revoked. An
 * `intended` one may have been issued or not, and its issue call may still be on its way: that is revoked now and again
 * after its deadline (L4). Waits for the first attempts for a bounded time only; the sweep goes on behind.
 * @throws `ERR_STORE_*` when the rows cannot be read: then the gateway must not serve
 */
export async function recoverLeases(
  context: RevokeContext,
  revocations: Revocations,
  lapses: LapseWatch,
  isOurs: (lease: LeaseId) => boolean,
): Promise<RecoveryReport> {
  const rows = await context.repository.list(context.tenant, {
    states: ['intended', 'active', 'revoking', 'lapsing'],
  });
  for (const lease of rows) if (lease.state === 'lapsing') lapses.watch(lease);
  const left = rows.filter((lease) => lease.state !== 'lapsing' && !isOurs(lease.id));
  let outstanding = left.length;
  const attempts = left.map(async (lease) => {
    const reason = lease.endReason ?? 'gateway_restarted';
    const { state } = await revocations.start(lease, reason, { isIssued: lease.state === 'active' });
    if (state !== 'revoking') outstanding--;
  });
  await new Promise<void>((resolve) => {
    const cancel = context.schedule(context.limits.recoverWaitMs, resolve);
    void Promise.all(attempts).then(() => {
      cancel();
      resolve();
    });
  });
  if (left.length > 0)
    context.log.info({ found: left.length, outstanding }, 'leases of an earlier process are revoked');
  return { found: left.length, outstanding };
}
