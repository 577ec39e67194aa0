import type { Prompts } from '../../audit/prompts.ts';
import type { Recorder } from '../../audit/recorder.ts';
import { type KnownTask, NOTHING_LEFT, type TrailState } from '../../audit/trail-state.ts';
import { joinRemembered } from '../../domain/flow.ts';
import type { TaskId } from '../../domain/ids.ts';
import type { OwnedTask, TaskMemory } from '../../domain/node.ts';
import { riskKey, type Score, scoreAt } from '../../domain/risk.ts';
import type { Task } from '../../domain/task.ts';
import type { Flow } from '../../flow/create-flow.ts';
import type { LeaseManager } from '../../leases/lease-manager.ts';
import type { TaskLedger } from '../../nodes/task-ledger.ts';
import type { TaskRegistry } from '../../tasks/task-registry.ts';
import type { BuiltRisk } from '../risk/build-risk.ts';
import type { TaskKeys } from '../trail/task-keys.ts';
import { detailOfTask, identityOfTask } from '../trail/task-records.ts';
import type { Workspace } from '../workspace.ts';
import type { TaskUsages } from './task-usage.ts';

/** Longer than a request that came to its node can wait before it finds that the task is not there any more. */
const MOVED_MS = 30_000;
/** Tasks that are remembered to have moved (guarantee I3). */
const MOST_MOVED = 20_000;

export interface Adoption {
  /** What a task of this node's leaves behind, as it is now. */
  memoryOf(task: TaskId): TaskMemory;
  /** Goes on with tasks that are this node's from now on. @throws `ERR_STORE_*`, `ERR_VAULT_*` */
  adopt(owned: readonly OwnedTask[]): Promise<void>;
  /** Lets go of a task that another node goes on with: nothing is ended, and nothing of it stays. */
  drop(task: TaskId): Promise<void>;
  /** Whether it was let go of a moment ago: what had come for it before is to be sent again, and must not be told that it has ended. */
  hasMoved(task: TaskId): boolean;
}

/** How tasks come to this node from another, or from an earlier life of this one, and how they go. */
export function createAdoption(parts: {
  workspace: Workspace;
  state: TrailState;
  tasks: TaskRegistry;
  leases: LeaseManager;
  taskKeys: TaskKeys;
  prompts: Prompts | undefined;
  flow: Pick<Flow, 'restore' | 'forget'>;
  risk: Pick<BuiltRisk, 'restore'>;
  usages: TaskUsages;
  recorder: Recorder;
  ledger: () => TaskLedger;
  forgetDeviations: (task: TaskId) => void;
}): Adoption {
  const { workspace, state, tasks, leases, taskKeys, prompts, flow, risk, usages, recorder } = parts;
  const { store, estate } = workspace;
  const { tenant } = estate;
  const { monotonic } = workspace.system;
  const moved = new Map<TaskId, number>();

  function noteMoved(task: TaskId): void {
    if (moved.size >= MOST_MOVED) moved.clear();
    moved.set(task, monotonic());
  }

  /**
   * Calls that were made at most. Of those that an earlier life of this node counted ahead its journal knows which were; unless it has fewer than
   * were made when they were counted: then it does not know all. What another node counted may have been made.
   */
  function madeOf(own: KnownTask | undefined, { calls, ahead }: TaskMemory): number {
    const known = own?.calls ?? 0;
    const isKnown = ahead !== undefined && ahead.by === workspace.node && known >= calls - ahead.calls;
    return isKnown ? known : Math.max(known, calls);
  }

  /** A denial moves a risk, and is kept with the next call alone: the journal of an earlier life may know more than the store. */
  function worseOf(own: Score | undefined, kept: Score): Score {
    const halfLifeMs = workspace.config.risk.halfLifeMinutes * 60_000;
    const leftOf = (score: Score): number => scoreAt(score, workspace.system.clock(), halfLifeMs);
    return own !== undefined && leftOf(own) > leftOf(kept) ? own : kept;
  }

  /** In one step with the task's admission: no call of it comes in between. @returns calls that it has made at most */
  function restore(task: Task, { fence, memory }: OwnedTask): number {
    const { id, parent } = task;
    const own = state.tasks.get(id);
    const calls = madeOf(own, memory);
    const known = {
      ...NOTHING_LEFT,
      from: own?.from ?? state.upTo,
      calls,
      prompt: memory.prompt ?? own?.prompt,
      flow: memory.flow === undefined ? own?.flow : joinRemembered(own?.flow, memory.flow),
      parent,
      hasEnded: false,
    };
    state.tasks.set(id, known);
    moved.delete(id);
    parts.ledger().add(id, fence);
    tasks.restoreUsed(id, calls);
    usages.restore(task, memory.usage);
    if (known.prompt !== undefined) prompts?.restore(id, known.prompt);
    if (known.flow !== undefined) flow.restore(task, known.flow);
    if (memory.risk !== undefined) {
      const key = riskKey({ kind: 'task', id });
      const worse = worseOf(state.risks.get(key), memory.risk);
      state.risks.set(key, worse);
      risk.restore({ risks: new Map([[key, worse]]) });
    }
    return calls;
  }

  /** With what was granted: whatever its decisions go by is in this journal too. */
  async function recordAdopted(task: Task, { memory, from }: OwnedTask, used: number): Promise<void> {
    const { flow } = memory;
    await recorder.record({
      type: 'task_adopted',
      ...identityOfTask(task),
      detail: { ...detailOfTask(task), used, ...(from !== undefined && { from }), ...(flow !== undefined && { flow }) },
    });
  }

  return {
    memoryOf(id) {
      const known = state.tasks.get(id);
      return {
        calls: known?.calls ?? 0,
        prompt: known?.prompt,
        flow: known?.flow,
        risk: state.risks.get(riskKey({ kind: 'task', id })),
        usage: usages.of(id),
      };
    },

    async adopt(claimed) {
      const ledger = parts.ledger();
      // Started here since: only its fence is another.
      for (const { task, fence } of claimed) if (ledger.has(task)) ledger.add(task, fence);
      const owned = claimed.filter(({ task }) => !ledger.has(task));
      const byId = new Map(owned.map((one) => [one.task, one]));
      const rows = await Promise.all(owned.map(({ task }) => store.tasks.get(tenant, task)));
      // The journal is the authority on what happened here: what it has ended does not begin anew.
      const found = rows.filter((task): task is Task => task !== undefined && task.state !== 'ended');
      await Promise.all(found.map(({ id }) => taskKeys.load(id)));
      const ended = found.filter(({ id }) => state.tasks.get(id)?.hasEnded === true).map(({ id }) => id);
      const admitted: Task[] = [];
      const recording: Promise<void>[] = [];
      await tasks.load({
        tasks: found,
        onAdmitted(task) {
          const own = byId.get(task.id) as OwnedTask;
          const used = restore(task, own);
          admitted.push(task);
          if (ended.includes(task.id) || !estate.agents.has(task.agent)) return;
          // Ahead of every decision of it: whoever reads this journal alone counts on from there.
          const recorded = recordAdopted(task, own, used);
          recorded.catch(() => {});
          recording.push(recorded);
        },
      });
      // Of two claims that are gone on with at the same moment, one finds the task admitted by the other: the newer fence counts all the same.
      for (const { task, fence } of owned) if (ledger.has(task)) ledger.add(task, fence);
      await Promise.all(recording);
      for (const task of admitted) {
        if (ended.includes(task.id)) await tasks.end(task.id, 'revoked');
        else if (!estate.agents.has(task.agent)) await tasks.end(task.id, 'agent_disabled');
      }
    },

    hasMoved: (id) => monotonic() - (moved.get(id) ?? Number.NEGATIVE_INFINITY) < MOVED_MS,

    async drop(id) {
      noteMoved(id);
      parts.ledger().remove(id);
      tasks.drop(id);
      state.tasks.delete(id);
      flow.forget(id);
      usages.forget(id);
      prompts?.forget(id);
      parts.forgetDeviations(id);
      await leases.dropTask(id, 'task_moved');
      // It may have come back meanwhile.
      if (!parts.ledger().has(id)) taskKeys.forget(id);
    },
  };
}
