import type { HeldCalls } from '../approvals/approvals.ts';
import type { Prompts } from '../audit/prompts.ts';
import type { RecordEntry, Recorder } from '../audit/recorder.ts';
import type { AgentId, ConnectorId, TaskId, TemplateId, TenantId } from '../domain/ids.ts';
import type { Refusal, Refused } from '../domain/refusal.ts';
import type { Task, TaskEndReason, TaskTemplate } from '../domain/task.ts';
import type { Flow } from '../flow/create-flow.ts';
import type { Catalogue } from '../inventory/catalogue.ts';
import type { HeldLease } from '../leases/held-lease.ts';
import type { LeasedItem } from '../leases/task-leases.ts';
import type { Decider } from '../policy/decide.ts';
import type { Risk } from '../risk/create-risk.ts';
import type { CallWatch } from '../risk/watch-calls.ts';
import type { Authenticator } from '../seams/authenticator.ts';
import type { Clock, Log, Schedule } from '../seams/clock.ts';
import type { Telemetry } from '../seams/telemetry.ts';
import type { Rounds } from './bridge/rounds.ts';
import type { Sealer } from './bridge/sealer.ts';
import type { Connections } from './connections.ts';
import type { Hub } from './events/hub.ts';
import type { LegacyConnectors } from './legacy-connectors.ts';
import type { TaskLimits } from './task-limits.ts';

/** What a server may ask of a client. */
export type ClientFeature = 'elicitation' | 'sampling' | 'roots';

/** Everything that the pipeline's stages may use. Built once by `compose`; each stage takes what it needs of it. */
export interface Gateway {
  readonly tenant: TenantId;
  readonly authenticator: Authenticator;
  readonly isRegistered: (agent: AgentId) => boolean;
  readonly tasks: {
    /** An active task, from memory; none while the gateway cannot confirm that nothing has been revoked (guarantee V1). */
    get(id: TaskId): Task | undefined;
    /** Why `get` gives none of a task that has not ended: it is suspended, or the gateway denies everything. Undefined of one that has. */
    barred(id: TaskId): Refusal | undefined;
    /** Where `get` gives none for want of confirmation: tries once more, not for long. True when it is worth asking again. */
    confirm(): Promise<boolean>;
    callsLeft(id: TaskId): number;
    /** Takes one call from the budget; false when none is left. */
    takeCall(id: TaskId): boolean;
    end(id: TaskId, reason: TaskEndReason): Promise<boolean>;
  };
  /** Among several nodes: what a call leaves behind, where the others find it. Undefined where there is one gateway alone. */
  readonly memory:
    | {
        /** Makes it durable; undefined where it is already. Refuses when the task is another's by now. Never rejects. */
        keep(task: TaskId): Promise<Refused | undefined> | undefined;
        /** Refuses when this node may not act as an owner any more. */
        confirm(): Refused | undefined;
      }
    | undefined;
  /** Templates as they are now: one may have been narrowed since a task under it began. */
  readonly template: (id: TemplateId) => TaskTemplate | undefined;
  readonly catalogue: Pick<
    Catalogue,
    'byExposedName' | 'find' | 'shownName' | 'routeUri' | 'tools' | 'prompts' | 'templates' | 'resources'
  >;
  readonly decider: Decider;
  /** What tasks have read. Asked of items with a profile of flow only. */
  readonly flow: Flow;
  /** How risky those are whom a call concerns, and who watches calls for signals. Undefined where neither is done. */
  readonly risk: { readonly levels: Risk; readonly calls: CallWatch } | undefined;
  /** A task did what it was not declared for. @throws when that cannot be put on record */
  readonly deviated: (task: TaskId, what: string, isGrave?: boolean) => Promise<unknown>;
  /** Calls that wait for people; nothing here takes a verdict (guarantee A6). */
  readonly approvals: HeldCalls;
  readonly recorder: Recorder;
  /** Records what need not be durable before the next step: use of a credential, an outcome. A failing log stops the gateway. */
  readonly recordLater: (entry: RecordEntry) => void;
  /** Records a refused authentication; a flood of them is counted, not written out. */
  readonly recordRefusal: (detail: Readonly<Record<string, unknown>>) => void;
  /** Undefined where nobody is to be told. */
  readonly telemetry: Telemetry | undefined;
  /** Undefined where prompts are kept off the record. */
  readonly prompts: Prompts | undefined;
  /** The task's lease for a connector, or for an item of it; undefined when the connector needs no credential. */
  readonly acquireLease: (
    task: Task,
    connector: ConnectorId,
    item?: LeasedItem,
  ) => HeldLease | undefined | Promise<HeldLease | undefined>;
  /** How fast tasks go and how much passes through them; undefined where no template bounds it. */
  readonly limits: TaskLimits | undefined;
  /** Connectors under an exception; undefined where there is none. */
  readonly legacy: LegacyConnectors | undefined;
  readonly connections: Connections;
  readonly hub: Hub;
  readonly sealer: Sealer;
  readonly rounds: Rounds;
  /** What a connector's server may ask the client for: the owner's choice. */
  readonly clientFeatures: (connector: ConnectorId) => readonly ClientFeature[];
  /** Every registered connector, in the order of the configuration. */
  readonly connectors: readonly ConnectorId[];
  /** Takes a place among the calls that an agent may have under way; false when it has none left (guarantee I3). */
  readonly enter: (agent: AgentId) => boolean;
  readonly leave: (agent: AgentId) => void;
  readonly timeoutMs: (connector: ConnectorId) => number;
  readonly newSpan: () => string;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly log: Log;
}
