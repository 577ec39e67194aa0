import type { ConnectorId, LeaseId, RandomBytes, TaskId, TenantId } from '../domain/ids.ts';
import type { Lease, LeaseMode } from '../domain/lease.ts';
import { userKey } from '../domain/principal.ts';
import type { AuditRecord, RecordType } from '../domain/record.ts';
import type { Secret } from '../domain/secret.ts';
import type { Task } from '../domain/task.ts';
import type { Clock, Log, Schedule } from '../seams/clock.ts';
import type { Issuer } from '../seams/issuer.ts';
import type { LeaseClaims, LeaseRepository, SealedHandle } from '../seams/store.ts';
import type { InjectionTemplates } from './render-injection.ts';

/** How credentials for one connector are made, as configured. */
export interface IssuerBinding {
  readonly issuer: Issuer;
  /** What one credential is for. */
  readonly mode: LeaseMode;
  /** Longest life of one lease. */
  readonly ttlSeconds: number;
  readonly templates: InjectionTemplates;
  /**
   * When a credential that the downstream never refuses counts as over all the same, milliseconds since the epoch: the
   * end of a static secret's exception. No lease of it is used beyond.
   */
  readonly lapsesAt?: number;
}

/** Seals what revoking needs for its row, so that only this lease's row gives it back (L2). */
export interface HandleSealer {
  seal(lease: LeaseId, handle: Secret): Promise<SealedHandle>;
  /** @throws `ERR_VAULT_KEY_WRONG` when it does not open for this lease */
  open(lease: LeaseId, sealed: SealedHandle): Promise<Secret>;
}

/** An audit event before the log gives it position and time. */
export type LeaseEvent = Omit<AuditRecord, 'seq' | 'time' | 'sealed'>;

export interface LeaseLimits {
  /** Longest one issue call may take. */
  readonly issueMs: number;
  /** How far clocks may differ, and how long a lost packet may still arrive (guarantee L4). */
  readonly skewMs: number;
  /** Longest one revoke call is waited for. */
  readonly revokeMs: number;
  /** First wait after a failed revoke; doubles up to the cap. */
  readonly retryMs: number;
  readonly retryCapMs: number;
  /** Revoke calls at once, per downstream, of those who wait for them; a sweep has as many beside them. Few: there must be room for issuing. */
  readonly revokesAtOnce: number;
  /** Longest time after which a sweep looks whether a claim of another process is over. */
  readonly sweepMs: number;
  /** Longest that recovery holds up the start. */
  readonly recoverWaitMs: number;
}

export const LEASE_LIMITS: LeaseLimits = {
  issueMs: 10_000,
  skewMs: 5_000,
  revokeMs: 30_000,
  retryMs: 500,
  retryCapMs: 60_000,
  revokesAtOnce: 2,
  sweepMs: 60_000,
  recoverWaitMs: 500,
};

/** What revoking needs, and no more: `remit reap` has just this. */
export interface RevokeContext {
  readonly tenant: TenantId;
  readonly repository: LeaseRepository;
  readonly claims: LeaseClaims;
  /** Who claims leases: a name that no other process has, and no earlier one had. */
  readonly claimant: string;
  /** Among several nodes the one that `claimant` is of: claims of the others are not touched. Left out: there are none. */
  readonly node?: string | undefined;
  readonly handles: HandleSealer;
  /** Undefined for a connector that needs no credential, or is no longer configured. */
  readonly issuerOf: (connector: ConnectorId) => IssuerBinding | undefined;
  /** An issuer of this kind for this downstream, whichever connector it is configured for: one that is gone leaves its leases (fault 6). */
  readonly issuerAt?: (kind: string, downstream: string) => Issuer | undefined;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly random: RandomBytes;
  readonly log: Log;
  /** Resolves when the event is durable; a rejection refuses whatever the event was for. */
  readonly audit: (event: LeaseEvent) => Promise<void>;
  /** Finds the task of a lease whose task is not at hand (after a restart), to name its user and trace in the record. */
  readonly taskOf?: (task: TaskId) => Promise<Task | undefined>;
  readonly limits: LeaseLimits;
}

/** The event of one step of a lease, with everything known of its task. */
export function leaseEvent(
  type: RecordType,
  lease: Lease,
  task: Task | undefined,
  detail: Readonly<Record<string, unknown>>,
): LeaseEvent {
  return {
    type,
    tenant: lease.tenant,
    ...(task === undefined ? {} : { trace: task.trace }),
    ...(task?.user === undefined ? {} : { user: userKey(task.user) }),
    agent: lease.agent,
    connector: lease.connector,
    task: lease.task,
    lease: lease.id,
    detail: { issuer: lease.issuer, tag: lease.tag, ...detail },
  };
}

/** RFC 3339, or undefined as it came. */
export function timeText(time: number | undefined): string | undefined {
  return time === undefined ? undefined : new Date(time).toISOString();
}
