import { isRemitError } from '../domain/errors.ts';
import type { Lease, LeaseState, RevocationClass } from '../domain/lease.ts';
import type { Secret } from '../domain/secret.ts';
import type { Task } from '../domain/task.ts';
import { bindingFor, callIssuer, issuerFor, issuerGone, storedHandle } from './call-revoke.ts';
import { leaseEvent, type RevokeContext, timeText } from './lease-context.ts';

/** What one attempt came to. `unsettled`: the downstream said yes, but an issue call may still be on its way there (L4). */
export type RevokeOutcome =
  | { readonly kind: 'done'; readonly lease: Lease }
  | { readonly kind: 'unsettled' }
  | { readonly kind: 'failed'; readonly error: string }
  /** Another process has claimed the lease meanwhile: what it makes of it stands. */
  | { readonly kind: 'lost' };

const OPEN_STATES: readonly LeaseState[] = ['intended', 'active', 'revoking'];
const ALL_STATES: readonly LeaseState[] = [...OPEN_STATES, 'lapsing', 'ended'];

/** How long a lease that lapses, and of which nothing says when it is over, is let be. */
const LONGEST_LAPSE_MS = 86_400_000;

export interface RevokeMark {
  readonly reason: string;
  /** What no row has yet, of an issue call that came back after everyone had given it up: stored in the same step. */
  readonly handle?: Secret | undefined;
  /** Whether to take the lease from whoever has claimed it, and out of `ended`: for one who knows more than the row. */
  readonly isTaking: boolean;
  readonly claimedUntil: number;
  readonly uses?: number | undefined;
}

/** → revoking, under a claim of this process. Undefined when another one has the lease. */
export async function markRevoking(context: RevokeContext, lease: Lease, mark: RevokeMark): Promise<Lease | undefined> {
  const { repository, claims, claimant, handles } = context;
  const { reason, handle, claimedUntil, uses } = mark;
  const sealed = handle === undefined ? {} : { handle: await handles.seal(lease.id, handle) };
  const counted = uses === undefined ? {} : { uses };
  const change = {
    state: 'revoking',
    endReason: reason,
    endedAt: undefined,
    claimedUntil,
    ...sealed,
    ...counted,
  } as const;
  if (await repository.update(lease, OPEN_STATES, change)) return lease;
  if (!mark.isTaking) return undefined;
  const taken = await claims.takeOver(lease, { by: claimant, until: claimedUntil });
  if (taken === undefined || !(await repository.update(taken, ALL_STATES, change))) return undefined;
  return { ...lease, fence: taken.fence };
}

/** Whether the issue call came back: what it opens is written down then. */
export const wasIssued = ({ state, scope }: Lease): boolean => state === 'active' || scope !== '';

export interface RevokeAttempt {
  /** Whether a yes of the downstream settles it: nothing can appear there afterwards. */
  readonly isConclusive: boolean;
  readonly number: number;
  /** Read from the row where it is not at hand. */
  readonly handle?: Secret | undefined;
  /** After a failure, until when nobody else takes it up. */
  readonly claimAfterFailure: () => number;
}

/** revoking → ended, or → lapsing where the downstream cannot revoke. Never throws: a failure is written to the row. */
export async function attemptRevoke(
  context: RevokeContext,
  lease: Lease,
  task: Task | undefined,
  reason: string,
  attempt: RevokeAttempt,
): Promise<RevokeOutcome> {
  const issuer = issuerFor(context, lease);
  const settle = (settled: Lease): Promise<RevokeOutcome> =>
    storeSettled(context, lease, settled, task, { reason, outcome: claimOf(settled), attempts: attempt.number });
  try {
    const handle = attempt.handle ?? (await storedHandle(context, lease));
    if (issuer === undefined) {
      const isNothingToDo = lease.revocation === 'expiry_only' && handle === undefined && attempt.isConclusive;
      if (!isNothingToDo) throw issuerGone(lease);
      return await settle(wasIssued(lease) ? settledLease(context, lease, reason) : lostLease(context, lease, reason));
    }
    await callIssuer(context, issuer, lease, handle);
    const isLost = issuer.needsHandle === true && handle === undefined;
    if (!attempt.isConclusive && !isLost) return { kind: 'unsettled' };
    const worth = { ...lease, revocation: weaker(lease.revocation, issuer.revocation) };
    return await settle(isLost ? lostLease(context, lease, reason) : settledLease(context, worth, reason));
  } catch (error) {
    try {
      const isHopeless = issuer === undefined || isRemitError(error, 'ERR_VAULT_KEY_WRONG');
      if (isOverByItself(context, lease, isHopeless)) {
        return await settle(settledLease(context, { ...lease, revocation: 'expiry_only' }, reason));
      }
    } catch {
      // Noted as what came first.
    }
    return noteFailure(context, lease, task, reason, attempt, faultText(error));
  }
}

/** The record first: a crash in between revokes and records again, and never the reverse. */
async function storeSettled(
  context: RevokeContext,
  lease: Lease,
  settled: Lease,
  task: Task | undefined,
  detail: Readonly<Record<string, unknown>>,
): Promise<RevokeOutcome> {
  await recordRevocation(context, settled, task, detail);
  const { state, endedAt, endReason, nativeExpiresAt, claimedUntil, revocation } = settled;
  const mended = { failingSince: undefined, lastError: undefined, handle: undefined };
  const change = { state, endedAt, endReason, nativeExpiresAt, claimedUntil, revocation, ...mended };
  if (!(await context.repository.update(lease, OPEN_STATES, change))) return { kind: 'lost' };
  return { kind: 'done', lease: settled };
}

/**
 * Whether its downstream refuses it for certain, although nobody could revoke it: no open session is left to end (class `immediate`), and either
 * that is all that a revoke was worth, or none can succeed here.
 */
function isOverByItself(context: RevokeContext, lease: Lease, isHopeless: boolean): boolean {
  if (lease.revocation === 'immediate' || lease.nativeExpiresAt === undefined) return false;
  if (lease.revocation !== 'expiry_only' && !isHopeless) return false;
  return latestEnd(context, lease) <= context.clock();
}

async function noteFailure(
  context: RevokeContext,
  lease: Lease,
  task: Task | undefined,
  reason: string,
  { number, claimAfterFailure }: RevokeAttempt,
  error: string,
): Promise<RevokeOutcome> {
  context.log.warn(
    { lease: lease.id, connector: lease.connector, attempt: number, error },
    'a lease could not be revoked; it is tried again',
  );
  if (number === 1) await recordRevocation(context, lease, task, { reason, outcome: 'failed', error }).catch(() => {});
  const failingSince = lease.failingSince ?? context.clock();
  const change = { attempts: number, lastError: error, failingSince, claimedUntil: claimAfterFailure() };
  const isOurs = await context.repository.update(lease, OPEN_STATES, change).catch(() => true);
  return isOurs ? { kind: 'failed', error } : { kind: 'lost' };
}

const CLASSES: readonly RevocationClass[] = ['immediate', 'next_use', 'expiry_only'];

/** L7: of what a revoke was worth when it was issued, and what it is by now: its issuer may be configured otherwise, or its server revoke no more. */
function weaker(one: RevocationClass, other: RevocationClass): RevocationClass {
  return CLASSES.indexOf(one) < CLASSES.indexOf(other) ? other : one;
}

/** L7: where the downstream cannot revoke, the lease lapses, and is shown with the time at which it is over. */
function settledLease(context: RevokeContext, lease: Lease, reason: string): Lease {
  const now = context.clock();
  const end = lapseTime(context, lease);
  const isOver = lease.revocation !== 'expiry_only' || (end !== undefined && end <= now);
  return isOver
    ? { ...lease, state: 'ended', endedAt: now, endReason: reason }
    : {
        ...lease,
        state: 'lapsing',
        endedAt: undefined,
        endReason: reason,
        claimedUntil: end ?? now + LONGEST_LAPSE_MS,
      };
}

/** Nobody can revoke what was perhaps issued: it lapses for as long as it can be good. */
function lostLease(context: RevokeContext, lease: Lease, reason: string): Lease {
  const nativeExpiresAt = latestEnd(context, lease);
  const now = context.clock();
  const known = { endReason: reason, nativeExpiresAt, claimedUntil: nativeExpiresAt };
  return nativeExpiresAt <= now
    ? { ...lease, ...known, state: 'ended', endedAt: now }
    : { ...lease, ...known, state: 'lapsing', endedAt: undefined };
}

/** The latest time at which the downstream can have given it its whole life: when the last issue call may have arrived there. */
function latestEnd({ limits }: RevokeContext, lease: Lease): number {
  const life = (lease.nativeExpiresAt ?? lease.expiresAt) - lease.intendedAt;
  return lease.issueDeadline + limits.skewMs + life;
}

/** lapsing → ended, when the credential is over at its downstream; else it is left until then. Resolves with it as it stands. */
export async function endIfLapsed(context: RevokeContext, lease: Lease): Promise<Lease> {
  const end = lapseTime(context, lease);
  const now = context.clock();
  if (end === undefined || end > now) {
    const claimedUntil = end ?? now + LONGEST_LAPSE_MS;
    await context.repository.update(lease, ['lapsing'], { claimedUntil });
    return { ...lease, claimedUntil };
  }
  const detail = { reason: lease.endReason, outcome: 'expired' };
  await recordRevocation(context, { ...lease, state: 'ended' }, undefined, detail);
  await context.repository.update(lease, ['lapsing'], { state: 'ended', endedAt: end });
  return { ...lease, state: 'ended', endedAt: end };
}

/** When a lapsing credential is over; undefined where nothing says so. */
export function lapseTime(context: RevokeContext, lease: Lease): number | undefined {
  return lease.nativeExpiresAt ?? bindingFor(context, lease)?.lapsesAt;
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
