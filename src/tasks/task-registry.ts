import type { AgentId, RandomBytes, TaskId, TemplateId, TenantId } from '../domain/ids.ts';
import type { User } from '../domain/principal.ts';
import type { Revocation, Standing } from '../domain/revocation.ts';
import type { Task, TaskDeclaration, TaskEndReason, TaskTemplate } from '../domain/task.ts';
import type { Clock, Log, Schedule } from '../seams/clock.ts';
import type { TaskRepository } from '../seams/store.ts';
import type { AppliedToTasks } from './apply-revocation.ts';
import type { ChildDeclaration } from './declare-child.ts';
import type { SuspensionListener } from './suspensions.ts';
import type { TaskRefusal } from './task-refusal.ts';

export interface StartTask {
  readonly agent: AgentId;
  /** Only ever from a verified subject token. */
  readonly user: User | undefined;
  readonly declaration: TaskDeclaration;
}

/** Of a task below one of the same agent: its user and its template are that one's. */
export interface StartChild {
  readonly agent: AgentId;
  readonly parent: TaskId;
  readonly declaration: ChildDeclaration;
}

/** Told of an ended task (its state is `ended`). Awaited; a fault in one is logged and does not stop the others. */
export type TaskEndListener = (task: Task, reason: TaskEndReason) => Promise<void> | void;

export interface TaskRegistryOptions {
  readonly tenant: TenantId;
  readonly repository: TaskRepository;
  /** Asked at every start, so that a reload of the configuration binds at once. */
  readonly templates: () => ReadonlyMap<TemplateId, TaskTemplate>;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly random: RandomBytes;
  readonly log: Log;
  /** Called before the task has a row, and awaited. If it throws, so does `start`. What it made goes with `onRefused`. */
  readonly onStarting?: (task: Task) => Promise<void> | undefined;
  /** Makes the start durable in the audit log. If it throws, the task is ended again and `start` throws. */
  readonly onStarted?: (task: Task) => Promise<void>;
  /** Whether other nodes start tasks of the same agents: the store counts them, for all. Left out: this process does. */
  readonly isShared?: boolean;
  /** Of a task that did not begin, since the store or the trail would not have it: what was made for it goes. Does not throw. */
  readonly onRefused?: (task: Task) => Promise<void>;
  /** Most active tasks of one agent, on all nodes together; default 100 (guarantee I3). */
  readonly maxActivePerAgent?: number;
  /** What the revocation log holds back, as far as it was read here. Left out: nothing is held back. */
  readonly standing?: Standing;
}

export interface TaskRegistry {
  /** Starts a task: durable before it is returned. @throws `ERR_STORE_*` when it could not be made durable */
  start(request: StartTask | StartChild): Promise<Task | TaskRefusal>;
  /** The task, while it is active: from memory, and never past its expiry. */
  get(id: TaskId): Task | undefined;
  /** All active tasks. */
  active(): readonly Task[];
  /** All tasks that have not ended: active and suspended ones. */
  live(): readonly Task[];
  /** What holds back a task that has not ended; undefined for any other. */
  suspension(id: TaskId): Revocation | undefined;
  /**
   * Makes a row of the revocation log true of tasks, after `standing` has it: who is named, and all below, is refused before this returns;
   * the rest follows.
   */
  apply(row: Revocation): AppliedToTasks;
  /** Told at once, before anything is durable, of a task that is refused from now on: what is open for it can be closed. */
  onBarred(listener: (task: Task) => void): void;
  onSuspension(listener: SuspensionListener): void;
  /**
   * Ends a task: refused to callers at once, durable next, then every listener. Idempotent.
   * @returns whether the task had not ended before
   * @throws `ERR_STORE_*` when the end is not durable: no call is served any more, and the end is retried
   */
  end(id: TaskId, reason: TaskEndReason): Promise<boolean>;
  onEnd(listener: TaskEndListener): void;
  /**
   * Restores tasks at start, suspended ones as such. Those past their expiry, revoked while no gateway ran, or without the task above them are
   * ended in the background, a few at a time, so that a long outage does not delay serving; `settled` resolves when they all are.
   * @param which left out: every task of the store that has not ended
   */
  load(which?: LoadTasks): Promise<{ restored: number; expired: number; settled: Promise<void> }>;
  /** Another node serves the task: it is refused here, and nothing is ended. Whoever is told of barred tasks is told. */
  drop(id: TaskId): void;
  /** The task, and those above it, nearest first, as far as they have not ended. */
  chainOf(id: TaskId): readonly TaskId[];
  /** What the budget has left; 0 for a task that is not active. */
  callsLeft(id: TaskId): number;
  /** Charges one call to the budget. */
  takeCall(id: TaskId): { readonly callsLeft: number } | TaskRefusal;
  /** Recovery: at least `used` calls had been charged. */
  restoreUsed(id: TaskId, used: number): void;
  /** Cancels timers; ends nothing. */
  close(): void;
}

/** Tasks that become this process's. */
export interface LoadTasks {
  readonly tasks: readonly Task[];
  /** Called of each before it is served; in one step with that. */
  readonly onAdmitted?: (task: Task) => void;
}
