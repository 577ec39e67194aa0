import { isRemitError, RemitError } from '../domain/errors.ts';
import type { Lease, LeaseState } from '../domain/lease.ts';
import type { Secret } from '../domain/secret.ts';
import type { Task } from '../domain/task.ts';
import type { Issuer } from '../seams/issuer.ts';
import { leaseEvent, type RevokeContext, timeText } from './lease-context.ts';
import { within } from './wait.ts';

/** What one attempt came to. `unsettled`: the downstream said yes, but an issue call may still be on its way there (L4). */
export type RevokeOutcome =
  | { readonly kind: 'done'; readonly lease: Lease }
  | { readonly kind: 'unsettled' }
  | { readonly kind: 'failed'; readonly error: string };

const OPEN_STATES: readonly LeaseState[] = ['intended', 'active', 'revoking'];
const ALL_STATES: readonly LeaseState[] = [...OPEN_STATES, 'lapsing', 'ended'];

/**
 * → revoking. Also out of `ended`: an issue call that came back after everyone had given it up; its handle, which no row has yet, is stored
 * in the same step.
 */
export async function markRevoking(
  context: RevokeContext,
  lease: Lease,
  reason: string,
  handle?: Secret,
): Promise<void> {
  const sealed = handle === undefined ? {} : { handle: await context.handles.seal(lease.id, handle) };
  const change = { state: 'revoking', endReason: reason, endedAt: undefined, ...sealed } as const;
  await context.repository.update(lease.tenant, lease.id, ALL_STATES, change);
}

export interface RevokeAttempt {
  /** Whether a yes of the downstream settles it: nothing can appear there afterwards. */
  readonly isConclusive: boolean;
  readonly number: number;
  /** Read from the row where it is not at hand. */
  readonly handle?: Secret | undefined;
}

/**
 * revoking → ended, or → lapsing where the downstream cannot revoke. Never throws: a failure is written to the row.
 */
export async function attemptRevoke(
  context: RevokeContext,
  lease: Lease,
  task: Task | undefined,
  reason: string,
  attempt: RevokeAttempt,
): Promise<RevokeOutcome> {
  try {
    const issuer = issuerFor(context, lease);
    const handle = attempt.handle ?? (await storedHandle(context, lease));
    await callIssuer(context, issuer, lease, handle);
    const isLost = issuer.needsHandle === true && handle === undefined;
    if (!attempt.isConclusive && !isLost) return { kind: 'unsettled' };
    const settled = isLost ? lostLease(context, lease, reason) : settledLease(context, lease, reason);
    // The record first: a crash in between revokes and records again, and never the reverse.
    await recordRevocation(context, settled, task, { reason, outcome: claimOf(settled), attempts: attempt.number });
    const { state, endedAt, endReason, nativeExpiresAt } = settled;
    const change = { state, endedAt, endReason, nativeExpiresAt, handle: undefined };
    await context.repository.update(lease.tenant, lease.id, OPEN_STATES, change);
    return { kind: 'done', lease: settled };
  } catch (error) {
    const text = faultText(error);
    context.log.warn(
      { lease: lease.id, connector: lease.connector, attempt: attempt.number, error: text },
      'a lease could not be revoked; it is tried again',
    );
    if (attempt.number === 1) {
      await recordRevocation(context, lease, task, { reason, outcome: 'failed', error: text }).catch(() => {});
    }
    const change = { attempts: attempt.number, lastError: text };
    await context.repository.update(lease.tenant, lease.id, OPEN_STATES, change).catch(() => {});
    return { kind: 'failed', error: text };
  }
}

function issuerFor(context: RevokeContext, lease: Lease): Issuer {
  const issuer = context.issuerOf(lease.connector)?.issuer;
  if (issuer === undefined || issuer.kind !== lease.issuer) {
    throw new RemitError(
      'ERR_CREDENTIAL_REVOKE',
      `connector ${lease.connector} has no ${lease.issuer} issuer any more`,
      {
        where: lease.connector,
        hint: `Put its credential section back until its leases have ended, or remove ${lease.tag} by hand.`,
      },
    );
  }
  return issuer;
}

async function storedHandle({ repository, handles }: RevokeContext, lease: Lease): Promise<Secret | undefined> {
  const sealed = await repository.handle(lease.tenant, lease.id);
  return sealed === undefined ? undefined : handles.open(lease.id, sealed);
}

async function callIssuer(
  context: RevokeContext,
  issuer: Issuer,
  lease: Lease,
  handle: Secret | undefined,
): Promise<void> {
  const { revokeMs } = context.limits;
  const late = () => new RemitError('ERR_CREDENTIAL_REVOKE', `no answer within ${revokeMs} ms`);
  await within(
    Promise.resolve().then(() => issuer.revoke(lease, handle)),
    revokeMs,
    context.schedule,
    late,
  );
}

/** L7: where the downstream cannot revoke, the lease lapses, and is shown with the time at which it is over. */
function settledLease(context: RevokeContext, lease: Lease, reason: string): Lease {
  const now = context.clock();
  const end = lapseTime(context, lease);
  const isOver = lease.revocation !== 'expiry_only' || (end !== undefined && end <= now);
  return isOver
    ? { ...lease, state: 'ended', endedAt: now, endReason: reason }
    : { ...lease, state: 'lapsing', endedAt: undefined, endReason: reason };
}

/**
 * Nobody can revoke what was perhaps issued: it lapses until the latest time at which the downstream can have given it its whole life, which
 * is when the last issue call may have arrived there.
 */
function lostLease({ clock, limits }: RevokeContext, lease: Lease, reason: string): Lease {
  const life = (lease.nativeExpiresAt ?? lease.expiresAt) - lease.intendedAt;
  const nativeExpiresAt = lease.issueDeadline + limits.skewMs + life;
  const now = clock();
  return nativeExpiresAt <= now
    ? { ...lease, state: 'ended', endedAt: now, endReason: reason, nativeExpiresAt }
    : { ...lease, state: 'lapsing', endedAt: undefined, endReason: reason, nativeExpiresAt };
}

/** When a lapsing credential is over; undefined where nothing says so. */
export function lapseTime(context: RevokeContext, lease: Lease): number | undefined {
  return lease.nativeExpiresAt ?? context.issuerOf(lease.connector)?.lapsesAt;
}

function claimOf(lease: Lease): string {
  if (lease.state === 'lapsing') return 'lapsing';
  if (lease.revocation === 'expiry_only') return 'expired';
  return lease.revocation === 'next_use' ? 'revoked_at_next_use' : 'revoked';
}

async function recordRevocation(
  context: RevokeContext,
  lease: Lease,
  knownTask: Task | undefined,
  detail: Readonly<Record<string, unknown>>,
): Promise<void> {
  const task = knownTask ?? (await context.taskOf?.(lease.task).catch(() => undefined));
  const lapses = lease.state === 'lapsing' ? { lapsesAt: timeText(lapseTime(context, lease)) ?? 'never' } : {};
  await context.audit(leaseEvent('revocation', lease, task, { revocation: lease.revocation, ...detail, ...lapses }));
}

/** One line for a row or a log. Of errors that are none of ours only the kind: their text may hold anything. */
export function faultText(error: unknown): string {
  if (isRemitError(error)) return `${error.code}: ${error.message}`.slice(0, 500);
  return error instanceof Error ? `unexpected ${error.name}` : 'unexpected fault';
}
