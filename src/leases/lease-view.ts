import type { LeaseId } from '../domain/ids.ts';
import { isFailing, type Lease, type LeaseMode, type RevocationClass } from '../domain/lease.ts';

/** `failed`: revoking it does not succeed, and is tried on; the others as in `LeaseState`. */
export type ShownState = 'intended' | 'active' | 'revoking' | 'failed' | 'lapsing' | 'ended';

/** A lease as people see it. Times are RFC 3339. No secret, and nothing that opens one. */
export interface LeaseView {
  readonly id: string;
  readonly state: ShownState;
  readonly connector: string;
  readonly issuer: string;
  readonly downstream: string;
  readonly tag: string;
  readonly mode: LeaseMode;
  readonly tool: string | undefined;
  readonly agent: string;
  readonly task: string;
  readonly scope: string;
  readonly revocation: RevocationClass;
  readonly since: string;
  readonly ageSeconds: number;
  readonly uses: number;
  /** Where the count of uses is from: the gateway that holds the lease, or its row, which is written when the lease ends. */
  readonly usesAsOf: 'gateway' | 'row';
  readonly expiresAt: string;
  /** When the downstream itself refuses the credential; undefined where it never does. */
  readonly nativeExpiresAt: string | undefined;
  readonly endedAt: string | undefined;
  readonly endReason: string | undefined;
  readonly attempts: number;
  readonly failingSince: string | undefined;
  readonly lastError: string | undefined;
  /** When it is tried again at the latest, or looked at again. */
  readonly dueAt: string;
}

/** @param counts calls made with leases that a running gateway holds; undefined where none runs */
export function viewLease(lease: Lease, now: number, counts: ReadonlyMap<LeaseId, number> | undefined): LeaseView {
  const held = counts?.get(lease.id);
  return {
    id: lease.id,
    state: shownState(lease),
    connector: lease.connector,
    issuer: lease.issuer,
    downstream: lease.downstream,
    tag: lease.tag,
    mode: lease.mode,
    tool: lease.tool,
    agent: lease.agent,
    task: lease.task,
    scope: lease.scope,
    revocation: lease.revocation,
    since: text(lease.intendedAt),
    ageSeconds: Math.max(0, Math.floor(((lease.endedAt ?? now) - lease.intendedAt) / 1000)),
    uses: held ?? lease.uses,
    usesAsOf: held === undefined ? 'row' : 'gateway',
    expiresAt: text(lease.expiresAt),
    nativeExpiresAt: maybe(lease.nativeExpiresAt),
    endedAt: maybe(lease.endedAt),
    endReason: lease.endReason,
    attempts: lease.attempts,
    failingSince: maybe(lease.failingSince),
    lastError: lease.lastError,
    dueAt: text(lease.claimedUntil),
  };
}

/** L7: only what has ended is said to have. */
function shownState(lease: Lease): ShownState {
  return isFailing(lease) ? 'failed' : lease.state;
}

/** What comes of it, in a few words. */
export function describeEnd(view: LeaseView): string {
  switch (view.state) {
    case 'ended':
      return `ended ${view.endedAt ?? ''} (${view.endReason ?? 'unknown'})`;
    case 'lapsing':
      // A static secret ends with its exception, which its scope names.
      return view.nativeExpiresAt === undefined
        ? 'good until its exception ends'
        : `good until ${view.nativeExpiresAt}`;
    case 'failed':
      return `retrying since ${view.failingSince ?? ''}: ${view.lastError ?? 'unknown'}`;
    case 'revoking':
      return `being revoked (${view.endReason ?? 'unknown'})`;
    case 'intended':
    case 'active':
      return `expires ${view.expiresAt}`;
  }
}

const text = (time: number): string => new Date(time).toISOString();
const maybe = (time: number | undefined): string | undefined => (time === undefined ? undefined : text(time));
