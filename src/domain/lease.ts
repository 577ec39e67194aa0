import type { AgentId, ConnectorId, LeaseId, TaskId, TenantId, ToolRef } from './ids.ts';

/** How fast a revocation binds at the downstream (guarantee L7). */
export type RevocationClass = 'immediate' | 'next_use' | 'expiry_only';

/** What one credential is for: everything of a task at a connector, one tool of it, or one call. */
export const LEASE_MODES = ['task', 'task_tool', 'call'] as const;
export type LeaseMode = (typeof LEASE_MODES)[number];

/**
 * intended → active → revoking → ended, or → lapsing where the downstream cannot revoke (`expiry_only`): the credential
 * is no longer used by anyone here, and lives on until `nativeExpiresAt` or, for a static secret, its exception's end.
 */
export type LeaseState = 'intended' | 'active' | 'revoking' | 'lapsing' | 'ended';

/** One issued, revocable downstream credential, under one task. Times are milliseconds since the epoch. */
export interface Lease {
  readonly id: LeaseId;
  readonly tenant: TenantId;
  readonly task: TaskId;
  readonly agent: AgentId;
  readonly connector: ConnectorId;
  readonly mode: LeaseMode;
  /** What a credential of mode `task_tool` or `call` is for; undefined for `task`. */
  readonly tool: ToolRef | undefined;
  /** Kind of issuer, for example `postgres`. */
  readonly issuer: string;
  /** The system that the credential opens, as its issuer names it: `shop-db:5432/shop`. */
  readonly downstream: string;
  /** Name of the object at the downstream, derived from the id alone: revoking needs no more (guarantee L2). */
  readonly tag: string;
  readonly state: LeaseState;
  readonly revocation: RevocationClass;
  /** What the credential opens, for people: `select on public.orders`. Empty until issued. */
  readonly scope: string;
  readonly intendedAt: number;
  /** An issue call that has not come back by then never counts. */
  readonly issueDeadline: number;
  readonly expiresAt: number;
  /** When the downstream itself refuses the credential; undefined where it never does (a static token). */
  readonly nativeExpiresAt: number | undefined;
  readonly endedAt: number | undefined;
  readonly endReason: string | undefined;
  /** Revoke attempts so far. */
  readonly attempts: number;
  /** Since when revoking it fails; undefined while it does not. */
  readonly failingSince: number | undefined;
  readonly lastError: string | undefined;
  /** Calls made with it, as of the last change of its row. */
  readonly uses: number;
  /** The process that answers for it, and until when: from then on whoever sweeps may claim it, which counts `fence` up. */
  readonly claimedBy: string;
  readonly claimedUntil: number;
  /** Every change of the row names it: a process that was stopped past its claim finds its change refused. */
  readonly fence: number;
}

/** Tag of a lease at its downstream: `remit_<lease>` without the `lse_`. 30 characters, within NAMEDATALEN. */
export function leaseTag(id: LeaseId): string {
  return `remit_${id.slice('lse_'.length)}`;
}

/** Whether it was to be revoked, and an attempt has failed and none succeeded since: the credential may still be good. */
export const isFailing = ({ state, failingSince }: Pick<Lease, 'state' | 'failingSince'>): boolean =>
  state === 'revoking' && failingSince !== undefined;
