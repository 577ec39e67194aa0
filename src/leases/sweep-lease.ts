import type { Lease } from '../domain/lease.ts';
import { backoff } from './backoff.ts';
import type { RevokeContext } from './lease-context.ts';
import { attemptRevoke, endIfLapsed, markRevoking, type RevokeOutcome, wasIssued } from './revoke-lease.ts';

/**
 * One attempt at a lease that this process has claimed and knows nothing of but its row. What is not settled by it is left on the row with the
 * time from which it is due again. Never throws but for a store that cannot serve.
 */
export async function sweepLease(context: RevokeContext, claimed: Lease, reasonElse: string): Promise<RevokeOutcome> {
  if (claimed.state === 'lapsing') return { kind: 'done', lease: await endIfLapsed(context, claimed) };
  const { clock, limits, random, repository } = context;
  const reason = claimed.endReason ?? reasonElse;
  const { claimedUntil } = claimed;
  const lease = await markRevoking(context, claimed, { reason, isTaking: false, claimedUntil });
  if (lease === undefined) return { kind: 'lost' };
  const settlesAt = lease.issueDeadline + limits.skewMs;
  const outcome = await attemptRevoke(context, lease, undefined, reason, {
    isConclusive: wasIssued(claimed) || settlesAt <= clock(),
    number: lease.attempts + 1,
    claimAfterFailure: () => clock() + backoff(lease.attempts + 1, limits.retryMs, limits.retryCapMs, random),
  });
  if (outcome.kind === 'unsettled') await repository.update(lease, ['revoking'], { claimedUntil: settlesAt });
  return outcome;
}

/** Works through leases a few at a time. */
export async function sweepBatch(
  context: RevokeContext,
  leases: readonly Lease[],
  sweep: (lease: Lease) => Promise<void>,
): Promise<void> {
  const queue = leases.values();
  const worker = async () => {
    for (const lease of queue) await sweep(lease);
  };
  await Promise.all(Array.from({ length: context.limits.revokesAtOnce }, worker));
}

/** How many leases one claim takes, and for how long it holds: as long as working through them can take. */
export function claimSize({ limits }: RevokeContext): { readonly limit: number; readonly ms: number } {
  const rounds = 4;
  return { limit: rounds * limits.revokesAtOnce, ms: rounds * limits.revokeMs + limits.skewMs };
}
