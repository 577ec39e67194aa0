import type { TaskId, TenantId } from '../domain/ids.ts';
import type { GatewayNode, OwnedTask, SeenNode, TaskPlace } from '../domain/node.ts';
import type { Score } from '../domain/risk.ts';
import type { TrailHead } from '../domain/trail-head.ts';

/** What several gateways on one store share beyond its rows. */
export interface SharedStore {
  readonly nodes: NodeRepository;
  readonly places: TaskPlaceRepository;
  readonly heads: TrailHeadRepository;
  readonly paces: PaceRepository;
  readonly risks: RiskScoreRepository;
  readonly policies: PolicySetRepository;
  readonly notices: Notices;
  readonly server: StoreServer;
}

/** The database server, as far as gateways must not ask too much of it. */
export interface StoreServer {
  connectionLimits(): Promise<ConnectionLimits>;
  /** Its clock, in milliseconds since the epoch. */
  now(): Promise<number>;
}

export interface ConnectionLimits {
  /** Of the server, for everybody. */
  readonly most: number;
  /** Of those, what it keeps for superusers and other reserved roles. */
  readonly reserved: number;
  /** Of the database, or of the role that gateways connect as, whichever is less; undefined: none. */
  readonly ofRole: number | undefined;
}

/** Something that others should read at once. What it says is in the store: of a notice nothing is taken. */
export type Notice = 'revocation' | 'approval' | 'mark' | 'risk' | 'policy';

/** Notices between nodes: any may be lost, told twice, or told too often. */
export interface Notices {
  /** Sent after what it is about is durable, one for however many are asked for meanwhile. Never throws. */
  send(tenant: TenantId, notice: Notice): void;
  /**
   * Hears them until it is stopped; where the connection breaks it is made again.
   * @param onHeard also called, for each kind, whenever some may have been missed
   */
  listen(tenant: TenantId, onHeard: (notice: Notice) => void): { stop(): Promise<void> };
}

/** A node as one that takes connections of the server. */
export type Connected = Pick<GatewayNode, 'tenant' | 'name' | 'connections'>;

/** Nodes of a tenant. Times are the database's own. */
export interface NodeRepository {
  /**
   * Begins the next life of a node. Its tasks of earlier lives stay its own.
   * @param admit told of all the others, of every tenant, as they are until this one has joined: where it throws, this one has not
   * @returns the number of that life
   */
  join(
    node: Connected & Pick<GatewayNode, 'address' | 'version' | 'policyVersion'>,
    ttlMs: number,
    admit?: (others: readonly Connected[]) => void,
  ): Promise<number>;
  /** Those whose time is not over, of every tenant of the store: they share its connections. By tenant and name. */
  everywhere(): Promise<Connected[]>;
  /**
   * Prolongs it, and says anew where it is reached.
   * @returns the time by the database's clock, in milliseconds since the epoch; `buried`: its tasks may be others' by now; `replaced`: another
   * process has its name
   */
  renew(
    node: Pick<GatewayNode, 'tenant' | 'name' | 'life' | 'address' | 'policyVersion'>,
    ttlMs: number,
  ): Promise<number | 'buried' | 'replaced'>;
  /** Leaves: its tasks are anybody's from then on. Nothing happens when that life is over already. */
  leave(node: Pick<GatewayNode, 'tenant' | 'name' | 'life'>): Promise<void>;
  /** Those that have not been buried, by name. */
  list(tenant: TenantId): Promise<SeenNode[]>;
  /** Removes nodes whose time is over. Each is given to one caller. @returns their names */
  bury(tenant: TenantId): Promise<string[]>;
}

/** Who owns which task. Each change by an owner names its fence, and changes nothing once the task is another's. */
export interface TaskPlaceRepository {
  /** Of a task that is about to be started. @throws when there is a place of it already */
  own(tenant: TenantId, owner: string, task: TaskId, family: TaskId): Promise<void>;
  /** Undefined for a task that has ended, or has no place. */
  find(tenant: TenantId, task: TaskId): Promise<TaskPlace | undefined>;
  /**
   * Makes a node the owner of families whose owner is lost or has left, or of those that were its own in an earlier life; of one that is its own
   * already (`mine`) it changes nothing.
   * @returns the tasks of them that have not ended, each with its fence, which is a new one but for `mine`
   */
  claim(
    tenant: TenantId,
    owner: string,
    which: { readonly family: TaskId } | { readonly orphans: number } | { readonly mine: TaskId } | 'earlier',
  ): Promise<OwnedTask[]>;
  /** Makes memories durable; each replaces the one before. @returns those of them that are the owner's still, under that fence */
  keep(tenant: TenantId, owner: string, rows: readonly OwnedTask[]): Promise<ReadonlySet<TaskId>>;
  /** Of tasks that have ended. */
  forget(tenant: TenantId, tasks: readonly TaskId[]): Promise<void>;
}

/** Paces of calls a minute that nodes keep together. Times are the database's own. */
export interface PaceRepository {
  /**
   * Says what a holder has used of a pace since it said so last, and what it keeps of what it had; takes more, up to `want` in all. What it holds counts
   * until it says otherwise, or until it could have been used last a minute ago.
   * @returns what it has more now, and the calls that were made within a minute, by anybody
   */
  draw(tenant: TenantId, pace: string, draw: PaceDraw): Promise<{ readonly more: number; readonly made: number }>;
}

export interface PaceDraw {
  readonly holder: string;
  readonly used: number;
  readonly keep: number;
  readonly want: number;
  /** Calls in any 60 seconds, of all holders together. */
  readonly most: number;
  /** So long it may be used. */
  readonly holdMs: number;
}

/** A score of risk as of a time, by the database's clock. */
export interface RiskScoreRow {
  /** `agent scribe`: a subject's key. */
  readonly subject: string;
  readonly score: number;
  readonly at: number;
}

/** Points of a signal, once for a cause where it has one; or what a score was at a time, of which no less may be left unless it was cleared since. */
export type RiskChange =
  | { readonly subject: string; readonly points: number; readonly cause?: string }
  | { readonly subject: string; readonly atLeast: Score };

/** Risk that nodes share. Positions count changes, in the order in which they become durable: whoever has read one has read all before it. */
export interface RiskScoreRepository {
  /**
   * Adds to what is left of the scores.
   * @param decay how fast a score halves, in milliseconds, and the most that one is
   * @returns the scores of all who are named, after all changes
   */
  add(
    tenant: TenantId,
    changes: readonly RiskChange[],
    decay: { readonly halfLifeMs: number; readonly most: number },
  ): Promise<RiskScoreRow[]>;
  clear(tenant: TenantId, subject: string): Promise<void>;
  /** Scores that have changed since a position, and the last position that there is; both as of one moment. */
  read(tenant: TenantId, after: number): Promise<{ readonly head: number; readonly rows: RiskScoreRow[] }>;
}

/** Policies that nodes have put in force, by a position that counts changes. What they say is sealed by whoever publishes: the store is not believed. */
export interface PolicySetRepository {
  newest(tenant: TenantId): Promise<{ readonly position: number; readonly digest: string } | undefined>;
  /** What the newest says; undefined of any other. */
  read(tenant: TenantId, position: number): Promise<string | undefined>;
  /** Whether a set is, or was, in force. */
  had(tenant: TenantId, digest: string): Promise<boolean>;
  /** The one after the newest. @returns false where there is one at that position already */
  publish(
    tenant: TenantId,
    set: { readonly position: number; readonly digest: string; readonly sealed: string },
  ): Promise<boolean>;
}

/** The newest checkpoint of each node's journal. A row proves itself by its signature, so that any node may put back one that was lost. */
export interface TrailHeadRepository {
  /** Keeps the longer one of what is there and what is given. @returns what is there now */
  publish(head: TrailHead): Promise<TrailHead>;
  /** Newest first, a bounded number. */
  list(tenant: TenantId): Promise<TrailHead[]>;
  /** Of a node: `superseded` journals of it were given up for a new one, on record. */
  ofNode(tenant: TenantId, node: string): Promise<(TrailHead & { readonly isSuperseded: boolean })[]>;
  /** Every journal of a node is given up but the one of that origin. */
  supersede(tenant: TenantId, node: string, origin: string): Promise<void>;
}
