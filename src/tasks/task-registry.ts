import { messageOf } from '../domain/errors.ts';
import {
  type AgentId,
  newTaskId,
  newTraceId,
  type RandomBytes,
  type TaskId,
  type TemplateId,
  type TenantId,
} from '../domain/ids.ts';
import type { User } from '../domain/principal.ts';
import type { Task, TaskDeclaration, TaskEndReason, TaskTemplate } from '../domain/task.ts';
import type { Clock, Log, Schedule } from '../seams/clock.ts';
import type { TaskRepository } from '../seams/store.ts';
import { narrowTask } from './declare-task.ts';
import { isTaskRefusal, listAllowed, refuseTask, type TaskRefusal } from './task-refusal.ts';

export interface StartTask {
  readonly agent: AgentId;
  /** Only ever from a verified subject token. */
  readonly user: User | undefined;
  readonly declaration: TaskDeclaration;
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
  /** Makes the start durable in the audit log. If it throws, the task is ended again and `start` throws. */
  readonly onStarted?: (task: Task) => Promise<void>;
  /** Most active tasks of one agent; default 100 (guarantee I3). */
  readonly maxActivePerAgent?: number;
}

export interface TaskRegistry {
  /** Starts a task: durable before it is returned. @throws `ERR_STORE_*` when it could not be made durable */
  start(request: StartTask): Promise<Task | TaskRefusal>;
  /** The task, while it is active: from memory, and never past its expiry. */
  get(id: TaskId): Task | undefined;
  /** All active tasks. */
  active(): readonly Task[];
  /**
   * Ends a task: refused to callers at once, durable next, then every listener. Idempotent.
   * @returns whether the task had not ended before
   * @throws `ERR_STORE_*` when the end is not durable: no call is served any more, and the end is retried
   */
  end(id: TaskId, reason: TaskEndReason): Promise<boolean>;
  onEnd(listener: TaskEndListener): void;
  /**
   * Restores active tasks at start. Those past their expiry are ended in the background, a few at a time, so that a long
   * outage does not delay serving; `settled` resolves when they all are.
   */
  load(): Promise<{ restored: number; expired: number; settled: Promise<void> }>;
  /** What the budget has left; 0 for a task that is not active. */
  callsLeft(id: TaskId): number;
  /** Charges one call to the budget. */
  takeCall(id: TaskId): { readonly callsLeft: number } | TaskRefusal;
  /** Recovery: at least `used` calls had been charged. */
  restoreUsed(id: TaskId, used: number): void;
  /** Cancels timers; ends nothing. */
  close(): void;
}

interface Entry {
  readonly task: Task;
  used: number;
  /** Being ended: refused to every caller from here on. */
  isClosing: boolean;
  attempts: number;
  cancelTimer: () => void;
}

const EXPIRED_AT_ONCE = 8;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;

/** In-memory registry of active tasks over the durable one. */
export function createTaskRegistry(options: TaskRegistryOptions): TaskRegistry {
  const { tenant, repository, templates, clock, schedule, random, log } = options;
  const maxActive = options.maxActivePerAgent ?? 100;
  const entries = new Map<TaskId, Entry>();
  const counts = new Map<AgentId, number>();
  const endings = new Map<TaskId, Promise<boolean>>();
  const listeners: TaskEndListener[] = [];
  /** Tasks that are durable but not admitted yet, with whether they were ended meanwhile. */
  const starting = new Map<TaskId, { hasEnded: boolean }>();
  let isClosed = false;

  function count(agent: AgentId, change: 1 | -1): void {
    const next = (counts.get(agent) ?? 0) + change;
    if (next === 0) counts.delete(agent);
    else counts.set(agent, next);
  }

  /** Ends without a caller to answer to: a fault is logged, and `finish` has planned the retry. */
  function endQuietly(id: TaskId, reason: TaskEndReason): Promise<void> {
    return end(id, reason).then(
      () => undefined,
      (error: unknown) =>
        log.error({ task: id, reason, error: messageOf(error) }, 'task could not be ended; will retry'),
    );
  }

  function watch(entry: Entry): void {
    const { id, expiresAt } = entry.task;
    // The timer runs on the monotonic clock, so a wall clock set back cannot prolong a task; `get` covers one set forward.
    entry.cancelTimer = schedule(Math.max(0, expiresAt - clock()), () => void endQuietly(id, 'expired'));
  }

  function admit(task: Task): void {
    const entry: Entry = { task, used: 0, isClosing: false, attempts: 0, cancelTimer: () => undefined };
    entries.set(task.id, entry);
    watch(entry);
  }

  function find(id: TaskId): Entry | undefined {
    const entry = entries.get(id);
    if (entry === undefined || entry.isClosing) return undefined;
    if (clock() >= entry.task.expiresAt) {
      void endQuietly(id, 'expired');
      return undefined;
    }
    return entry;
  }

  async function start(request: StartTask): Promise<Task | TaskRefusal> {
    const { agent, user, declaration } = request;
    const known = templates();
    const template = known.get(declaration.template);
    if (template === undefined) {
      const allowed = [...known.values()].filter(({ agents }) => agents.includes(agent)).map(({ id }) => id);
      return refuseTask(
        'unknown_template',
        `template '${declaration.template}' is not known; allowed for agent '${agent}': ${listAllowed(allowed)}`,
        { field: 'template', value: declaration.template, allowed },
      );
    }
    const task = narrowTask(template, declaration, {
      tenant,
      agent,
      user,
      now: clock(),
      id: newTaskId(random),
      trace: newTraceId(random),
    });
    if (isTaskRefusal(task)) return task;
    if ((counts.get(agent) ?? 0) >= maxActive) {
      return refuseTask(
        'too_many_tasks',
        `agent '${agent}' has ${maxActive} active tasks, the most allowed: end some first`,
      );
    }
    count(agent, 1);
    const state = { hasEnded: false };
    starting.set(task.id, state);
    try {
      await repository.insert(task);
      await options.onStarted?.(task).catch(async (error: unknown) => {
        // Not in the audit log, so it never was: nobody has seen the task, and it is ended without listeners.
        await repository.end(tenant, task.id, 'revoked', clock()).catch((fault: unknown) => {
          log.error(
            { task: task.id, error: messageOf(fault) },
            'unrecorded task could not be ended; it lapses at its expiry',
          );
        });
        throw error;
      });
    } catch (error) {
      count(agent, -1);
      throw error;
    } finally {
      starting.delete(task.id);
    }
    if (state.hasEnded) {
      count(agent, -1);
      return refuseTask('ended', `task '${task.id}' was ended while it was started`);
    }
    admit(task);
    return task;
  }

  function end(id: TaskId, reason: TaskEndReason): Promise<boolean> {
    const running = endings.get(id);
    if (running !== undefined) return running;
    const ending = finish(id, reason).finally(() => endings.delete(id));
    endings.set(id, ending);
    return ending;
  }

  async function finish(id: TaskId, reason: TaskEndReason): Promise<boolean> {
    const begun = starting.get(id);
    if (begun !== undefined) begun.hasEnded = true;
    const entry = entries.get(id);
    if (entry !== undefined) {
      entry.isClosing = true;
      entry.cancelTimer();
    }
    const endedAt = clock();
    let hasEnded: boolean;
    try {
      hasEnded = await repository.end(tenant, id, reason, endedAt);
    } catch (error) {
      if (entry !== undefined && !isClosed) {
        const delay = Math.min(FIRST_RETRY_MS * 2 ** entry.attempts, LONGEST_RETRY_MS);
        entry.attempts += 1;
        entry.cancelTimer = schedule(delay, () => void endQuietly(id, reason));
      }
      throw error;
    }
    if (entry !== undefined) {
      entries.delete(id);
      count(entry.task.agent, -1);
    }
    // Ended elsewhere but alive in this memory: what this process holds for it is cleaned up all the same.
    const task = entry?.task ?? (hasEnded ? await repository.get(tenant, id) : undefined);
    if (task === undefined) return hasEnded;
    const ended: Task = { ...task, state: 'ended', endReason: reason, endedAt };
    const results = await Promise.allSettled(listeners.map(async (listener) => listener(ended, reason)));
    for (const result of results) {
      if (result.status === 'rejected') {
        log.error({ task: id, error: messageOf(result.reason) }, 'a listener failed after the end of a task');
      }
    }
    return hasEnded;
  }

  async function load(): Promise<{ restored: number; expired: number; settled: Promise<void> }> {
    const now = clock();
    const expired: TaskId[] = [];
    let restored = 0;
    for (const task of await repository.list(tenant, { state: 'active' })) {
      if (entries.has(task.id)) continue;
      count(task.agent, 1);
      if (task.expiresAt > now) {
        admit(task);
        restored += 1;
      } else {
        entries.set(task.id, { task, used: 0, isClosing: true, attempts: 0, cancelTimer: () => undefined });
        expired.push(task.id);
      }
    }
    const queue = expired.values();
    const settled = Promise.all(
      Array.from({ length: Math.min(EXPIRED_AT_ONCE, expired.length) }, async () => {
        for (const id of queue) await endQuietly(id, 'expired');
      }),
    ).then(() => undefined);
    return { restored, expired: expired.length, settled };
  }

  return {
    start,
    end,
    load,
    get: (id) => find(id)?.task,
    active: () => [...entries.keys()].flatMap((id) => find(id)?.task ?? []),
    onEnd: (listener) => void listeners.push(listener),
    callsLeft(id) {
      const entry = find(id);
      return entry === undefined ? 0 : entry.task.bounds.calls - entry.used;
    },
    takeCall(id) {
      const entry = find(id);
      if (entry === undefined) return refuseTask('ended', `task '${id}' is not active: declare a new one`);
      const { calls } = entry.task.bounds;
      if (entry.used >= calls) {
        return refuseTask(
          'budget_exhausted',
          `task '${id}' has used its budget of ${calls} calls: declare a new task`,
          {
            field: 'budget.calls',
            value: String(entry.used),
            allowed: [`1 to ${calls}`],
          },
        );
      }
      entry.used += 1;
      return { callsLeft: calls - entry.used };
    },
    restoreUsed(id, used) {
      const entry = entries.get(id);
      if (entry !== undefined) entry.used = Math.max(entry.used, used);
    },
    close() {
      isClosed = true;
      for (const entry of entries.values()) entry.cancelTimer();
    },
  };
}
