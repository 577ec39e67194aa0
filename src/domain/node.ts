import type { RememberedFlow } from './flow.ts';
import type { TaskId, TenantId } from './ids.ts';
import type { Score } from './risk.ts';

/** A gateway among others on one store, as the others know it. */
export interface GatewayNode {
  readonly tenant: TenantId;
  /** Of its data folder: the same after a restart. */
  readonly name: string;
  /** Counts its starts. Who has an older one is not that node any more. */
  readonly life: number;
  /** Base URL under which the other nodes reach it. */
  readonly address: string;
  /** Of the program. */
  readonly version: string;
  readonly policyVersion: string;
  /** Connections that it may have to the store, its listener included; 0: not known. */
  readonly connections: number;
  /** Milliseconds since the epoch, by the store's clock. */
  readonly joinedAt: number;
  /** By the store's clock; it is lost when this has passed. */
  readonly expiresAt: number;
}

/** A node as it is seen at one moment. Lengths of time are told by the store's clock. */
export interface SeenNode extends GatewayNode {
  /** Milliseconds since it joined. */
  readonly joinedMs: number;
  /** Since its policies are of this version. */
  readonly policyMs: number;
  /** Until it is lost; negative: so long ago. */
  readonly leftMs: number;
}

/** What a task leaves behind for whoever goes on with it: the worst that its calls have been charged and have joined. */
export interface TaskMemory {
  /** Permitted calls, its children's included; those that are counted ahead as well. */
  readonly calls: number;
  /** Of them, counted before they are made, and by which node: that one's own journal knows how many were. */
  readonly ahead?: { readonly calls: number; readonly by: string } | undefined;
  /** Digest of the prompt that it followed from last. */
  readonly prompt?: string | undefined;
  /** Of the task at the top of a family. */
  readonly flow?: RememberedFlow | undefined;
  readonly risk?: Score | undefined;
  /** Left out where nothing of it is bounded. */
  readonly usage?: TaskUsage | undefined;
}

/** Calls that count within a minute, and when the last was made, in milliseconds since the epoch. */
export type RememberedPace = readonly [calls: number, at: number];

/** What has been counted of a task against its limits. */
export interface TaskUsage {
  /** Bytes of results, and of arguments that went outside, its children's included: of the task at the top of a family. */
  readonly read?: number | undefined;
  readonly sent?: number | undefined;
  /** By ref of an item, of the task at the top of a family; by connector, of the task itself. */
  readonly paces?: Readonly<Record<string, RememberedPace>> | undefined;
}

/** For so long a call counts against a pace of calls a minute. */
export const PACE_WINDOW_MS = 60_000;

/** What became of a request that was passed on to another node; a response that has begun is that node's. */
export type Passed = 'answered' | 'not_sent' | 'unknown';

/** Of a task that nobody else has had. */
export const FIRST_FENCE = 1;

/** A task whose owner this node is. */
export interface OwnedTask {
  readonly task: TaskId;
  /** Counts changes of the owner; each change by the owner names it. */
  readonly fence: number;
  readonly memory: TaskMemory;
  /** The node that had it before, where that is another one, for the record. */
  readonly from?: string;
}

/** Where a task that has not ended is served. */
export interface TaskPlace {
  /** The task at the top of its family; a family is of one owner. */
  readonly family: TaskId;
  readonly owner: string;
  /** Undefined: the owner is lost, or has left. */
  readonly address: string | undefined;
}
