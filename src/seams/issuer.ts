import type { AgentId, ConnectorId, LeaseId, TaskId, TenantId, ToolRef } from '../domain/ids.ts';
import type { Lease, RevocationClass } from '../domain/lease.ts';
import type { User } from '../domain/principal.ts';
import type { Secret } from '../domain/secret.ts';
import type { ActionClass } from '../domain/tool.ts';

export interface IssueRequest {
  readonly lease: LeaseId;
  readonly tenant: TenantId;
  readonly task: TaskId;
  readonly agent: AgentId;
  /** The human on whose behalf the agent acts, where there is one: for downstreams that are told who. */
  readonly user: User | undefined;
  readonly connector: ConnectorId;
  /** What the credential is for, in the modes `task_tool` and `call`: narrow to it where the downstream can. */
  readonly tool: ToolRef | undefined;
  /** Name to give the object at the downstream. */
  readonly tag: string;
  /** The task's resources for this connector, without the `connector:` prefix. */
  readonly resources: readonly string[];
  readonly actionClasses: readonly ActionClass[];
  /** Milliseconds since the epoch; the credential must not outlive it (L3). */
  readonly expiresAt: number;
  /** Aborts when the issue deadline passes. */
  readonly signal: AbortSignal;
}

export interface IssuedCredential {
  /** Named parts, for example `username` and `password`, or `token`; a connector's injection templates name them. */
  readonly fields: Readonly<Record<string, Secret>>;
  /** For people and the record: `select on public.orders, public.customers`. No secret. */
  readonly scope: string;
  /** When the downstream itself refuses it; undefined where it never does. */
  readonly nativeExpiresAt: number | undefined;
  /**
   * What revoking needs beyond the tag, for example an opaque token or a registration id. Sealed and stored on the lease's row before the
   * credential is used (L2), and given back to `revoke`. The caller wipes it.
   */
  readonly handle?: Secret;
}

/**
 * Makes and revokes credentials for one kind of downstream. Cardinality: one per connector that needs a credential.
 * Passing `test/suites/issuer-suite.ts` is what makes an issuer.
 */
export interface Issuer {
  readonly kind: string;
  /** The system that its credentials open, for people: `shop-db:5432/shop`. Leases of one downstream share the bound on revokes at once. */
  readonly downstream: string;
  /** Shortest lifetime the downstream can give, in seconds. */
  readonly minTtlSeconds: number;
  readonly revocation: RevocationClass;
  /**
   * Whether nothing can be revoked without the handle. Where it was lost (a crash between issue and record) the lease then counts as lapsing
   * until its native expiry, and never as revoked (L7).
   */
  readonly needsHandle?: boolean;
  /** Issues within `request.signal`, or throws `ERR_CREDENTIAL_ISSUE`; may have left an object behind when it throws. */
  issue(request: IssueRequest): Promise<IssuedCredential>;
  /**
   * Idempotent; "not found" is success; ends open sessions where it can. Throws `ERR_CREDENTIAL_REVOKE` if unsure.
   * @param handle as `issue` gave it; undefined where it gave none, or where nobody knows whether it did
   */
  revoke(lease: Lease, handle: Secret | undefined): Promise<void>;
  /** Frees connections. */
  close(): Promise<void>;
}
