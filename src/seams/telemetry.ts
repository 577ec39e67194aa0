import type { Gate } from '../domain/decision.ts';
import type { AgentId, ConnectorId, LeaseId, TaskId, TraceId } from '../domain/ids.ts';
import type { SignalKind } from '../domain/risk.ts';
import type { Task, TaskEndReason } from '../domain/task.ts';
import type { ItemKind } from '../domain/tool.ts';
import type { TraceLink } from '../domain/trace-context.ts';

/** One governed operation that is over: what its records say of it, and no content. */
export interface ObservedCall {
  readonly trace: TraceId;
  readonly span: string;
  /** The trace that the client is in. */
  readonly link: TraceLink | undefined;
  readonly task: TaskId;
  readonly agent: AgentId;
  readonly method: string;
  /** Undefined where there is no such item, or none that may be told of. */
  readonly item: { readonly kind: ItemKind; readonly connector: ConnectorId; readonly name: string } | undefined;
  readonly lease: LeaseId | undefined;
  readonly session: string | undefined;
  readonly protocolVersion: string | undefined;
  readonly requestId: string | number | undefined;
  readonly verdict: 'permit' | 'deny' | 'step_up';
  /** Which gate refused; undefined of a permitted one. */
  readonly gate: Gate | undefined;
  /** Of a permitted one: as in its outcome record. */
  readonly status: string | undefined;
  /** Code of a JSON-RPC error, or of the problem. */
  readonly code: string | number | undefined;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly endedAt: number;
}

/** Where what happened is told to operators. Never in the way of a call: it takes what it is given and throws nothing. */
export interface Telemetry {
  call(observed: ObservedCall): void;
  task(task: Task, reason: TaskEndReason, endedAt: number): void;
}

/** A span that is over, in our own ids. */
export interface FinishedSpan {
  readonly name: string;
  readonly kind: 'server' | 'internal';
  readonly trace: string;
  readonly span: string;
  readonly parent: string | undefined;
  readonly link: TraceLink | undefined;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly isError: boolean;
}

/** Sends spans on. One implementation a protocol. */
export interface SpanSink {
  /** Bounded, without waiting: what does not fit is dropped and counted. */
  send(span: FinishedSpan): void;
  /** Spans that a collector did not take. */
  readonly lost: number;
  /** Sends what is left, for a while. */
  close(): Promise<void>;
}

/** What is now, read when somebody asks. */
export interface Readings {
  readonly journalRecords: number;
  /** Records that are not yet where they are copied to, by what that is: `archive`, `rows`. */
  readonly journalBehind: Readonly<Record<string, number>>;
  readonly tasks: number;
  readonly sessions: number;
  readonly connections: number;
  readonly leases: Readonly<Record<string, number>>;
  readonly revocationsOutstanding: number;
  readonly items: Readonly<Record<string, number>>;
  /** Those that were first seen within the last seven days, by status: whether describing keeps up with discovery. */
  readonly itemsRecent: Readonly<Record<string, number>>;
  /** Seconds since the oldest item that nobody has described was first seen; 0 where there is none. */
  readonly undescribedOldest: number;
  /** Subjects above the lowest level, by level. */
  readonly risks: Readonly<Record<string, number>>;
  readonly findings: Readonly<Record<string, number>>;
  readonly spansLost: number;
}

/** Counts, for a system that comes and asks. */
export interface Metrics {
  call(observed: ObservedCall): void;
  /** A task has ended. */
  task(reason: TaskEndReason): void;
  /** An approval was asked for, decided, used or ended; `seconds` that it took people to decide (M7). */
  approval(event: 'requested' | 'approved' | 'denied' | 'used' | 'expired' | 'ended', seconds?: number): void;
  /** A signal moved somebody's risk. */
  signal(kind: SignalKind): void;
  /** Policies denied a call, and it was let through as they are only observed: of an agent, template or connector. */
  letThrough(of: string, id: string): void;
  /** Shadow policies were asked of a call, with what result. */
  shadow(result: string): void;
  /** One append to the journal took so long, in seconds. */
  appended(seconds: number): void;
  /** The text that the asking system reads, and its media type. */
  render(): Promise<{ readonly text: string; readonly type: string }>;
}
