import type { Approval, ApprovalState, Verdict } from '../domain/approval.ts';
import type { Canary } from '../domain/canary.ts';
import type { AgentId, ApprovalId, ConnectorId, LeaseId, TaskId, TenantId } from '../domain/ids.ts';
import type { Lease, LeaseState } from '../domain/lease.ts';
import type { Revocation, RevocationEntry } from '../domain/revocation.ts';
import type { StoredMark } from '../domain/stored-mark.ts';
import type { Task, TaskEndReason } from '../domain/task.ts';
import type { SharedStore } from './shared-store.ts';

/**
 * What is now (the journal is what happened). A repository per feature, one transaction runner, two implementations
 * (SQLite, PostgreSQL), one conformance suite (`test/suites/store-suite.ts`).
 * Every method throws `ERR_STORE_LOCKED`, `ERR_STORE_FULL` or `ERR_STORE_UNREACHABLE` when the database cannot serve:
 * callers deny.
 */
export interface Store extends Repositories {
  /** Runs `work` in one transaction: all of it is durable, or none. Nested calls are refused. */
  transaction<T>(work: (repositories: Repositories) => Promise<T>): Promise<T>;
  /** For several gateways at a time; left out where the store is one gateway's alone. */
  readonly shared?: SharedStore;
  close(): Promise<void>;
}

export interface Repositories {
  readonly tasks: TaskRepository;
  readonly leases: LeaseRepository;
  readonly leaseClaims: LeaseClaims;
  readonly revocations: RevocationRepository;
  readonly approvals: ApprovalRepository;
  readonly secrets: SecretRepository;
  readonly sealedRows: SealedRowRepository;
  readonly taskKeys: TaskKeyRepository;
  readonly signingKeys: SigningKeyRepository;
  /** Keys that sign what connectors and their authorization servers verify; never a task token. */
  readonly connectorKeys: SigningKeyRepository;
  readonly oauth: OAuthRepository;
  readonly inventory: InventoryRepository;
  readonly riskHistory: RiskHistoryRepository;
  readonly storedMarks: StoredMarkRepository;
  readonly canaries: CanaryRepository;
}

export interface TaskRepository {
  /**
   * @param logPosition how far whoever admits the task has read the revocation log: each later row is about this task too. Default 0
   */
  insert(task: Task, logPosition?: number): Promise<void>;
  /**
   * The same, unless `most` tasks of its agent have not ended. Gateways that ask at once are answered one after the other.
   * @returns whether it was inserted
   */
  insertWithin(most: number, task: Task, logPosition?: number): Promise<boolean>;
  get(tenant: TenantId, id: TaskId): Promise<Task | undefined>;
  list(tenant: TenantId, filter?: { state?: Task['state'] }): Promise<Task[]>;
  /** Ends a task that has not ended; false when it had. */
  end(tenant: TenantId, id: TaskId, reason: TaskEndReason, at: number): Promise<boolean>;
  /** Notes whether a task that has not ended is suspended, for who reads rows; what holds it back stands in the revocation log. */
  setState(tenant: TenantId, id: TaskId, state: 'active' | 'suspended'): Promise<void>;
  /** Tasks that have not ended although a `revoke` later than their admission names them, their agent or everything. */
  revoked(tenant: TenantId): Promise<TaskId[]>;
}

/** The revocation log: append-only, one order for every node (guarantee V1). */
export interface RevocationRepository {
  /**
   * Appends at the next position, in the order in which appends become durable: whoever has read a position has read all before it.
   * Durable when it resolves; one that throws may have been made all the same.
   */
  append(entry: RevocationEntry): Promise<Revocation>;
  /** `limit` rows after a position, oldest first, and the position of the last row that there is; both as of one moment. */
  read(tenant: TenantId, after: number, limit: number): Promise<{ head: number; rows: Revocation[] }>;
  /** As of one moment: the last position, and for each subject that is still held back (`Standing`) the row that does it. */
  standing(tenant: TenantId): Promise<{ head: number; rows: Revocation[] }>;
}

/** What of an approval a verdict changes. */
export type Conclusion = Pick<Approval, 'state' | 'scope' | 'usesLeft'>;

/** Approvals and verdicts. Each change is one step: whoever races, one wins (guarantee D5). */
export interface ApprovalRepository {
  /** Opens it, unless one of the same `callKey` is open and in time: that one then. @param content the arguments, sealed */
  open(approval: Approval, content: SealedHandle): Promise<Approval>;
  get(tenant: TenantId, id: ApprovalId): Promise<Approval | undefined>;
  /** Newest first. */
  list(
    tenant: TenantId,
    filter: { readonly states?: readonly ApprovalState[]; readonly task?: TaskId },
    limit: number,
  ): Promise<Approval[]>;
  /** What has been asked about a call and still holds at `at`: open or denied ones of it, and approved ones of its item. */
  about(tenant: TenantId, keys: Pick<Approval, 'callKey' | 'toolKey'>, at: number): Promise<Approval[]>;
  /** The sealed arguments; undefined once it is over. */
  content(tenant: TenantId, id: ApprovalId): Promise<SealedHandle | undefined>;
  verdicts(tenant: TenantId, id: ApprovalId): Promise<Verdict[]>;
  /**
   * Adds a verdict to a pending approval that is in time, and makes true what follows from all of them; one after the other.
   * @param conclude given all verdicts, what becomes of it; undefined: more are needed
   * @returns it as it stands then; undefined when it was pending no more, or that person has said a word already
   */
  decide(
    tenant: TenantId,
    verdict: Verdict,
    conclude: (approval: Approval, all: readonly Verdict[]) => Conclusion | undefined,
  ): Promise<Approval | undefined>;
  /**
   * Takes one use of an approved one. False when there is none to take: it is used up, over or out of time, its task is not active, or the
   * revocation log has a later row that stops its task, agent, connector or everything.
   */
  use(tenant: TenantId, id: ApprovalId, at: number): Promise<boolean>;
  /** Ends open ones, of a task, of a connector, or those whose time is over. @returns them, as they were */
  end(
    tenant: TenantId,
    which: { readonly task: TaskId } | { readonly connector: ConnectorId } | { readonly expiredAt: number },
    as: { readonly state: 'expired' | 'ended'; readonly reason: string; readonly at: number },
  ): Promise<Approval[]>;
  /** Removes some that are over since then, with their verdicts: the trail has them. @returns how many, at most `limit` */
  forget(tenant: TenantId, endedBefore: number, limit: number): Promise<number>;
}

export type LeaseChange = Partial<
  Pick<
    Lease,
    | 'state'
    | 'scope'
    | 'revocation'
    | 'nativeExpiresAt'
    | 'endedAt'
    | 'endReason'
    | 'attempts'
    | 'failingSince'
    | 'lastError'
    | 'uses'
    | 'claimedUntil'
  > & { readonly handle: SealedHandle | undefined }
>;

/** A lease's handle at rest: ciphertext under a data key that the KEK wrapped. AAD = tenant, lease. */
export interface SealedHandle {
  readonly keyId: string;
  readonly envelope: Buffer;
}

export interface LeaseFilter {
  readonly task?: TaskId;
  readonly connector?: ConnectorId;
  readonly agent?: AgentId;
  readonly states?: readonly LeaseState[];
}

export interface LeaseRepository {
  /** The lease intent: durable before any issue call starts (L1). */
  insert(lease: Lease): Promise<void>;
  get(tenant: TenantId, id: LeaseId): Promise<Lease | undefined>;
  list(tenant: TenantId, filter?: LeaseFilter): Promise<Lease[]>;
  /**
   * Changes a lease if it is in one of `from` and nobody has claimed it since `lease` was read; false when it was not. A claim counts the
   * fence up, so whoever was stopped past its own changes nothing (fault 9).
   */
  update(
    lease: Pick<Lease, 'tenant' | 'id' | 'fence'>,
    from: readonly LeaseState[],
    change: LeaseChange,
  ): Promise<boolean>;
  /** What revoking needs beyond the row; undefined where there is none. */
  handle(tenant: TenantId, id: LeaseId): Promise<SealedHandle | undefined>;
}

/** Who may act on which lease that has not ended. Times are milliseconds of the caller's clock. */
export interface LeaseClaims {
  /** Downstreams that have leases whose claims are over at `at`, and when the next claim is over. */
  due(tenant: TenantId, at: number): Promise<{ readonly downstreams: string[]; readonly next: number | undefined }>;
  /**
   * Claims leases whose claims are over at `at`, the longest overdue first. Two who ask at once never get the same one.
   * @returns them as they stand, under the new claim
   */
  claimDue(
    tenant: TenantId,
    claim: { by: string; at: number; until: number; downstream: string; limit: number },
  ): Promise<Lease[]>;
  /** Claims one lease, ended or not, whoever has it. Undefined when there is no such lease. */
  takeOver(lease: Pick<Lease, 'tenant' | 'id'>, claim: { by: string; until: number }): Promise<Lease | undefined>;
  /**
   * Ends the claims of everyone but `by` on leases that are intended, active or being revoked, as of `at`; one that has no reason to end gets
   * this one. For a process that knows that the others are gone, or those are that claim for `ofNode`. @returns how many
   */
  releaseOthers(tenant: TenantId, by: string, at: number, reason: string, ofNode?: string): Promise<number>;
}

/** A secret at rest: ciphertext under a data key that the KEK wrapped. AAD = tenant, name, version. */
export interface SealedSecret {
  readonly tenant: TenantId;
  readonly name: string;
  readonly version: number;
  readonly keyId: string;
  /** Envelope in one buffer; its layout belongs to `src/secrets/envelope.ts`. */
  readonly envelope: Buffer;
  /** Keyed: the same for equal secrets, in every tenant of the store, and of no use for finding out a secret. */
  readonly fingerprint: string | undefined;
  readonly createdAt: number;
}

export interface SecretRepository {
  /** Stores the next version; the version must be the current one + 1, else throws `ERR_STORE_LOCKED`. */
  put(secret: SealedSecret): Promise<void>;
  /** Newest version. */
  get(tenant: TenantId, name: string): Promise<SealedSecret | undefined>;
  /** Newest version of each, without envelopes being opened. @param names these alone; undefined: all */
  list(tenant: TenantId, names?: readonly string[]): Promise<SealedSecret[]>;
  remove(tenant: TenantId, name: string): Promise<boolean>;
  /** Who else has that secret, whatever the tenant: the one question that is asked across tenants. */
  withFingerprint(fingerprint: string): Promise<{ readonly tenant: TenantId; readonly name: string }[]>;
  /** Of a secret that was stored without one; false when that version is there no more. */
  setFingerprint(tenant: TenantId, name: string, version: number, fingerprint: string): Promise<boolean>;
}

/** An envelope in the store, whoever keeps it there. */
export interface SealedRow {
  readonly kind: 'secret' | 'task_key' | 'signing_key' | 'lease_handle' | 'approval';
  /** Name of the secret, id of the task, `kid`, id of the lease, id of the approval. */
  readonly id: string;
  readonly tenant: TenantId;
  /** Of a secret; 1 for all others. */
  readonly version: number;
  readonly keyId: string;
  readonly envelope: Buffer;
}

/** Every envelope of the store: what a rotation of the vault's key goes through. */
export interface SealedRowRepository {
  /** Some rows of the tenants that are wrapped under one of the keys, at most `limit`. Signing keys are of every tenant. */
  under(tenants: readonly TenantId[], keyIds: readonly string[], limit: number): Promise<SealedRow[]>;
  /** Puts another envelope in place of the one that was read; false when that is there no more. */
  replace(row: SealedRow, next: { readonly keyId: string; readonly envelope: Buffer }): Promise<boolean>;
  /** How many rows each key has wrapped. */
  countByKey(tenants: readonly TenantId[]): Promise<ReadonlyMap<string, number>>;
}

/** Keys that seal the decision inputs of one task; erasing the row makes them unreadable (A5). */
export interface TaskKeyRepository {
  insert(key: { tenant: TenantId; task: TaskId; keyId: string; envelope: Buffer; createdAt: number }): Promise<void>;
  get(tenant: TenantId, task: TaskId): Promise<{ keyId: string; envelope: Buffer } | undefined>;
  /** With those whose names are the task's and a dot and more. False when there was none. */
  erase(tenant: TenantId, task: TaskId): Promise<boolean>;
}

/** Signing keys of one purpose: `current` signs, `retired` ones still verify until `retiresAt`. Private JWK sealed by the vault. */
export interface SigningKey {
  readonly kid: string;
  readonly state: 'current' | 'retired';
  readonly keyId: string;
  readonly envelope: Buffer;
  readonly createdAt: number;
  readonly retiresAt: number | undefined;
}

export interface SigningKeyRepository {
  list(): Promise<SigningKey[]>;
  /** Makes `key` the current one and retires the others, in one step. */
  rotate(key: SigningKey, othersRetireAt: number): Promise<void>;
  removeRetiredBefore(time: number): Promise<number>;
}

/** Rows of the authorization server's adapter (oidc-provider `Adapter`), and of whatever else waits for a browser; times in seconds as it gives them. */
export interface OAuthRepository {
  upsert(model: string, id: string, payload: object, expiresAt: number | undefined): Promise<void>;
  find(
    model: string,
    id: string,
    now: number,
  ): Promise<{ payload: object; consumedAt: number | undefined } | undefined>;
  findByUid(model: string, uid: string, now: number): Promise<{ id: string; payload: object } | undefined>;
  /** Deletes it and gives what it was, expired or not, in one step: of those that ask at once, one gets it. */
  takeByUid(model: string, uid: string): Promise<{ id: string; payload: object } | undefined>;
  /** Marks as used; false when it had been used before (single use). */
  consume(model: string, id: string, at: number): Promise<boolean>;
  destroy(model: string, id: string): Promise<void>;
  revokeByGrantId(model: string, grantId: string): Promise<void>;
  removeExpired(now: number): Promise<number>;
}

/** Values that nothing may carry, as keyed fingerprints. */
export interface CanaryRepository {
  insert(canary: Canary): Promise<void>;
  /** Oldest first. */
  list(tenant: TenantId): Promise<Canary[]>;
  remove(tenant: TenantId, id: string): Promise<boolean>;
}

/** Labels that stick to what tasks have stored. Rows only add up: those on one thing are joined by who reads them. */
export interface StoredMarkRepository {
  /** Durable when it resolves. The same mark once more counts from `at` anew. */
  keep(mark: StoredMark): Promise<void>;
  /** @param since milliseconds since the epoch; left out: all */
  list(tenant: TenantId, since?: number): Promise<StoredMark[]>;
  /** Removes marks on things, and on whole connectors, that are as old as that. @returns how many */
  forget(tenant: TenantId, upTo: { readonly things: number; readonly connectors: number }): Promise<number>;
}

export interface InventoryAgent {
  readonly tenant: TenantId;
  readonly id: string;
  readonly owner: string;
  readonly environment: string;
  readonly zone: string;
}

export interface InventoryConnector extends InventoryAgent {
  readonly transport: string;
  /** Issuer kind, or `none`. */
  readonly credential: string;
  /** A static secret's exception: who answers for it, why, until when (RFC 3339). */
  readonly exception: { readonly owner: string; readonly reason: string; readonly expires: string } | undefined;
}

export interface InventoryTool {
  readonly tenant: TenantId;
  readonly connector: string;
  readonly name: string;
  readonly fingerprint: string;
  /** The definition as the server gave it. */
  readonly definition: object;
  readonly status: 'described' | 'undescribed' | 'quarantined';
  readonly actionClass: string | undefined;
  readonly approvedBy: string | undefined;
  readonly firstSeenAt: number;
  readonly lastSeenAt: number;
}

/** The definition of an item that its owner approved, or that was first seen under an approval which names none. */
export interface InventoryPin {
  readonly tenant: TenantId;
  readonly connector: string;
  readonly name: string;
  readonly fingerprint: string;
  readonly definition: object;
  readonly pinnedAt: number;
}

/** A standing grant: this agent may start tasks under this template. */
export interface InventoryGrant {
  readonly tenant: TenantId;
  readonly agent: string;
  readonly template: string;
  readonly templateOwner: string;
  readonly purpose: string;
  readonly actionClasses: readonly string[];
  readonly tools: readonly string[];
  readonly resources: readonly string[];
  readonly calls: number;
  readonly maxDurationSeconds: number;
  readonly requiresUser: boolean;
}

/** Something that was used, or shown, for the first time. */
export interface RiskHistoryRow {
  readonly tenant: TenantId;
  /** Whose history: `agent scribe reports`, `connector crm`. */
  readonly scope: string;
  readonly kind: string;
  /** A ref, a fingerprint, or the keyed digest of a destination. */
  readonly value: string;
  /** Milliseconds since the epoch. */
  readonly firstAt: number;
}

/** What agents and connectors have done before: a lost row makes something count as new once more. */
export interface RiskHistoryRepository {
  /** @param since by the clocks of those who added, milliseconds since the epoch; left out: all */
  list(tenant: TenantId, since?: number): Promise<RiskHistoryRow[]>;
  /** Idempotent: the first time stays. */
  add(row: RiskHistoryRow): Promise<void>;
}

/** What is registered, as configured and as seen. */
export interface InventoryRepository {
  /** Replaces agents, connectors and grants by what the configuration says. */
  replace(
    tenant: TenantId,
    estate: {
      agents: readonly InventoryAgent[];
      connectors: readonly InventoryConnector[];
      grants: readonly InventoryGrant[];
    },
  ): Promise<void>;
  /** Inserts or refreshes what a connector listed; `firstSeenAt` of a known tool is kept; tools not named are removed. */
  recordTools(tenant: TenantId, connector: string, tools: readonly InventoryTool[]): Promise<void>;
  agents(tenant: TenantId): Promise<InventoryAgent[]>;
  connectors(tenant: TenantId): Promise<InventoryConnector[]>;
  tools(tenant: TenantId, connector?: string): Promise<InventoryTool[]>;
  grants(tenant: TenantId): Promise<InventoryGrant[]>;
  pins(tenant: TenantId, connector?: string): Promise<InventoryPin[]>;
  /** Sets or replaces pins; those of other items stay. */
  pin(tenant: TenantId, pins: readonly InventoryPin[]): Promise<void>;
}
