import { messageOf } from '../domain/errors.ts';
import { type AgentId, newTaskId, newTraceId, type TaskId } from '../domain/ids.ts';
import { Standing } from '../domain/revocation.ts';
import type { Task, TaskEndReason } from '../domain/task.ts';
import { applyRevocation } from './apply-revocation.ts';
import { narrowChild } from './declare-child.ts';
import { declareTask } from './declare-task.ts';
import { type Holdable, refuseStart } from './hold-on.ts';
import { makeDurable } from './make-durable.ts';
import { createSuspensions, type TaskEntry } from './suspensions.ts';
import { isTaskRefusal, refuseTask, type TaskRefusal } from './task-refusal.ts';
import type {
  LoadTasks,
  StartChild,
  StartTask,
  TaskEndListener,
  TaskRegistry,
  TaskRegistryOptions,
} from './task-registry.ts';
import { createTaskTree } from './task-tree.ts';

const NOBODY: readonly TaskEntry[] = [];
const LIVE = ['active', 'suspended'] as const;
const ENDED_AT_ONCE = 8;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;

/** In-memory registry of active tasks over the durable one. */
export function createTaskRegistry(options: TaskRegistryOptions): TaskRegistry {
  const { tenant, repository, templates, clock, schedule, random, log } = options;
  const maxActive = options.maxActivePerAgent ?? 100;
  const entries = new Map<TaskId, TaskEntry>();
  const counts = new Map<AgentId, number>();
  const endings = new Map<TaskId, Promise<boolean>>();
  const listeners: TaskEndListener[] = [];
  /** Tasks that are durable but not admitted yet, with whether they were ended meanwhile. */
  const starting = new Map<TaskId, Holdable & { readonly parent: TaskId | undefined; hasEnded: boolean }>();
  const tree = createTaskTree();
  const standing = options.standing ?? new Standing();
  const suspensions = createSuspensions({ tenant, repository, standing, entries, tree, log });
  const durable = { ...options, most: maxActive, logPosition: () => standing.position };
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

  function watch(entry: TaskEntry): void {
    const { id, expiresAt } = entry.task;
    // The timer runs on the monotonic clock, so a wall clock set back cannot prolong a task; `get` covers one set forward.
    entry.cancelTimer = schedule(Math.max(0, expiresAt - clock()), () => void endQuietly(id, 'expired'));
  }

  function admit(task: Task): TaskEntry {
    const entry: TaskEntry = {
      task,
      used: 0,
      isClosing: false,
      heldBy: undefined,
      following: Promise.resolve(),
      attempts: 0,
      cancelTimer: () => undefined,
    };
    entries.set(task.id, entry);
    tree.add(task);
    return entry;
  }

  function find(id: TaskId): TaskEntry | undefined {
    const entry = entries.get(id);
    if (entry === undefined || entry.isClosing || entry.heldBy !== undefined) return undefined;
    if (clock() >= entry.task.expiresAt) {
      void endQuietly(id, 'expired');
      return undefined;
    }
    return entry;
  }

  /** The task and those above it, nearest first. */
  function chainOf(task: Task): readonly TaskEntry[] {
    const own = entries.get(task.id);
    const above = task.parent === undefined ? [] : tree.ancestorsOf(task).flatMap((id) => entries.get(id) ?? []);
    return own === undefined ? above : [own, ...above];
  }

  const leftIn = (chain: readonly TaskEntry[]): number =>
    Math.min(...chain.map(({ task, used }) => task.bounds.calls - used));

  function declareChild({ agent, parent: id, declaration }: StartChild): Task | TaskRefusal {
    const parent = find(id)?.task;
    const template = parent === undefined ? undefined : templates().get(parent.template);
    if (parent?.agent !== agent || template === undefined) {
      return refuseTask('not_found', `'${id}' is not a running task of agent '${agent}'`, {
        field: 'parent',
        value: id,
      });
    }
    const chain = chainOf(parent);
    const begun = [...starting.values()].filter((one) => one.parent === id).length;
    const siblings = tree.childrenOf(id).length + begun;
    const place = { parent, depth: chain.length, siblings, callsLeft: leftIn(chain) };
    return narrowChild(template, declaration, place, {
      now: clock(),
      id: newTaskId(random),
      trace: newTraceId(random),
    });
  }

  async function start(request: StartTask | StartChild): Promise<Task | TaskRefusal> {
    const { agent } = request;
    const held = refuseStart(standing, agent);
    if (held !== undefined) return held;
    const task =
      'parent' in request
        ? declareChild(request)
        : declareTask(templates(), request, { tenant, now: clock(), id: newTaskId(random), trace: newTraceId(random) });
    if (isTaskRefusal(task)) return task;
    const tooMany = (): TaskRefusal =>
      refuseTask('too_many_tasks', `agent '${agent}' has ${maxActive} active tasks, the most allowed: end some first`);
    if ((counts.get(agent) ?? 0) >= maxActive) return tooMany();
    count(agent, 1);
    const state = { id: task.id, agent, parent: task.parent, hasEnded: false };
    starting.set(task.id, state);
    try {
      if (!(await makeDurable(durable, task))) {
        count(agent, -1);
        return tooMany();
      }
    } catch (error) {
      count(agent, -1);
      throw error;
    } finally {
      starting.delete(task.id);
    }
    // What befell the task above it meanwhile is this one's too, and has not found it yet.
    const isOrphan = task.parent !== undefined && find(task.parent) === undefined;
    const late =
      state.hasEnded || isOrphan
        ? refuseTask('ended', `task '${task.id}' was ended while it was started`)
        : refuseStart(standing, agent);
    if (late !== undefined) {
      count(agent, -1);
      // The end may have come before there was a row to end.
      await end(task.id, 'revoked');
      return late;
    }
    watch(admit(task));
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
      const isFirst = !entry.isClosing;
      entry.isClosing = true;
      entry.cancelTimer();
      if (isFirst) suspensions.bar(entry);
    }
    const below = tree.childrenOf(id).map((child) => endQuietly(child, 'parent_ended'));
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
      tree.remove(entry.task);
      standing.forgetTask(id);
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
    await Promise.all(below);
    return hasEnded;
  }

  async function load(which?: LoadTasks): Promise<{ restored: number; expired: number; settled: Promise<void> }> {
    const now = clock();
    const revoked = new Set(await repository.revoked(tenant));
    const listed = which?.tasks ?? (await Promise.all(LIVE.map((state) => repository.list(tenant, { state })))).flat();
    const found = listed.filter(({ id, state }) => state !== 'ended' && !entries.has(id));
    for (const task of found) {
      count(task.agent, 1);
      admit(task.state === 'active' ? task : { ...task, state: 'active' });
    }
    for (const task of found) which?.onAdmitted?.(task);
    const over = new Map<TaskId, TaskEndReason>();
    for (const { id, parent, expiresAt } of found) {
      if (revoked.has(id)) over.set(id, 'revoked');
      else if (expiresAt <= now) over.set(id, 'expired');
      else if (parent !== undefined && !entries.has(parent)) over.set(id, 'parent_ended');
    }
    for (const id of over.keys()) {
      for (const one of tree.withDescendants(id)) (entries.get(one) as TaskEntry).isClosing = true;
    }
    const following: Promise<void>[] = [];
    let restored = 0;
    for (const task of found) {
      const entry = entries.get(task.id) as TaskEntry;
      if (entry.isClosing) continue;
      restored += 1;
      watch(entry);
      suspensions.reconsider(entry);
      // Suspended or resumed while no gateway ran.
      if ((task.state === 'suspended') !== (entry.heldBy !== undefined)) following.push(suspensions.follow(entry));
    }
    const queue = over.entries();
    const ending = Array.from({ length: Math.min(ENDED_AT_ONCE, over.size) }, async () => {
      for (const [id, reason] of queue) await endQuietly(id, reason);
    });
    const settled = Promise.all([...ending, ...following]).then(() => undefined);
    return { restored, expired: over.size, settled };
  }

  return {
    start,
    end,
    load,
    drop(id) {
      const entry = entries.get(id);
      if (entry === undefined) return;
      entry.isClosing = true;
      entry.cancelTimer();
      suspensions.bar(entry);
      entries.delete(id);
      tree.remove(entry.task);
      count(entry.task.agent, -1);
    },
    chainOf(id) {
      const entry = entries.get(id);
      return entry === undefined ? [id] : chainOf(entry.task).map(({ task }) => task.id);
    },
    get: (id) => find(id)?.task,
    active: () => [...entries.keys()].flatMap((id) => find(id)?.task ?? []),
    live: () =>
      [...entries.values()]
        .filter(({ isClosing }) => !isClosing)
        .map(({ task, heldBy }) => (heldBy === undefined ? task : { ...task, state: 'suspended' })),
    suspension(id) {
      const entry = entries.get(id);
      return entry === undefined || entry.isClosing || clock() >= entry.task.expiresAt ? undefined : entry.heldBy;
    },
    apply: (row) =>
      applyRevocation(row, { ...suspensions, entries, starting: starting.values(), tree, end: endQuietly }),
    onBarred: suspensions.onBarred,
    onSuspension: suspensions.onSuspension,
    onEnd: (listener) => void listeners.push(listener),
    callsLeft(id) {
      const entry = find(id);
      if (entry === undefined) return 0;
      return entry.task.parent === undefined ? entry.task.bounds.calls - entry.used : leftIn(chainOf(entry.task));
    },
    takeCall(id) {
      const entry = find(id);
      if (entry === undefined) return refuseTask('ended', `task '${id}' is not active: declare a new one`);
      const { calls } = entry.task.bounds;
      const above = entry.task.parent === undefined ? NOBODY : chainOf(entry.task).slice(1);
      if (entry.used >= calls || above.some((one) => one.used >= one.task.bounds.calls)) {
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
      // What a child does, its parents do: a budget is of a task with all below it.
      for (const one of above) one.used += 1;
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
