import type { AgentId, ConnectorId, LeaseId, TaskId, TenantId } from '../domain/ids.ts';
import type { Lease, RevocationClass } from '../domain/lease.ts';
import type { Secret } from '../domain/secret.ts';
import type { ActionClass } from '../domain/tool.ts';

export interface IssueRequest {
  readonly lease: LeaseId;
  readonly tenant: TenantId;
  readonly task: TaskId;
  readonly agent: AgentId;
  readonly connector: ConnectorId;
  /** Name to give the object at the downstream; revoking needs only this. */
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
}

/**
 * Makes and revokes credentials for one kind of downstream. Cardinality: one per connector that needs a credential.
 * Passing `test/suites/issuer-suite.ts` is what makes an issuer.
 */
export interface Issuer {
  readonly kind: string;
  /** Shortest lifetime the downstream can give, in seconds. */
  readonly minTtlSeconds: number;
  readonly revocation: RevocationClass;
  /** Issues within `request.signal`, or throws `ERR_CREDENTIAL_ISSUE`; may have left an object behind when it throws. */
  issue(request: IssueRequest): Promise<IssuedCredential>;
  /** Idempotent; "not found" is success; ends open sessions where it can. Throws `ERR_CREDENTIAL_REVOKE` if unsure. */
  revoke(lease: Lease): Promise<void>;
  /** Frees connections. */
  close(): Promise<void>;
}
