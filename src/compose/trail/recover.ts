import { findTaskRecords } from '../../audit/find-task-records.ts';
import type { Prompts } from '../../audit/prompts.ts';
import type { ReadTrail } from '../../audit/read-trail.ts';
import type { Recorder } from '../../audit/recorder.ts';
import { NOTHING_LEFT } from '../../audit/trail-state.ts';
import type { TaskId } from '../../domain/ids.ts';
import { riskKey } from '../../domain/risk.ts';
import type { Flow } from '../../flow/create-flow.ts';
import type { LeaseManager } from '../../leases/lease-manager.ts';
import type { Journal } from '../../seams/journal.ts';
import type { TaskRegistry } from '../../tasks/task-registry.ts';
import type { BuiltRisk } from '../risk/build-risk.ts';
import type { Workspace } from '../workspace.ts';
import type { TaskKeys } from './task-keys.ts';

/**
 * What a gateway does before it serves: settles what an earlier one left open. Calls without an outcome are recorded as
 * `outcome_unknown` (A1); leases of the dead process are revoked (L4); tasks that still have time go on, with their budgets
 * charged by what the journal says was permitted; those of an agent that is no longer registered end, and those that the
 * store has and the trail has not, or has ended.
 */
export async function recover(parts: {
  workspace: Workspace;
  journal: Journal;
  trail: ReadTrail;
  recorder: Recorder;
  tasks: TaskRegistry;
  leases: LeaseManager;
  taskKeys: TaskKeys;
  prompts: Prompts | undefined;
  flow: Pick<Flow, 'restore'>;
  risk: Pick<BuiltRisk, 'restore'>;
  /** Among several nodes: joins them, and goes on with this node's own tasks. Undefined: all that there are. */
  rejoin: (() => Promise<number>) | undefined;
}): Promise<void> {
  const { workspace, recorder, tasks, leases } = parts;
  const { log } = workspace.system;
  const { state } = parts.trail;
  parts.risk.restore(state);
  const unsettled = [...state.open.values()].flatMap(({ unknown }) => unknown ?? []);
  for (const outcome of unsettled) await recorder.record(outcome);
  const restored = await (parts.rejoin ?? (() => restoreAll(parts)))();
  // Those whose end was durable and whose record a crash took.
  const live = new Set(tasks.live().map(({ id }) => id));
  for (const [id, known] of state.tasks) {
    if (live.has(id)) continue;
    // Perhaps it goes on at another node, and comes back.
    if (parts.rejoin !== undefined && !known.hasEnded) state.tasks.delete(id);
    known.hasEnded = true;
    state.risks.delete(riskKey({ kind: 'task', id }));
  }
  await leases.recover();
  if (restored > 0 || unsettled.length > 0) {
    log.info({ tasks: restored, unsettled: unsettled.length }, 'recovered what an earlier gateway left');
  }
}

/** Of a gateway that has its store alone: every task that has time left is its own, and its journal says what each has done. */
async function restoreAll(parts: Parameters<typeof recover>[0]): Promise<number> {
  const { workspace, tasks, taskKeys, prompts, flow } = parts;
  const { log } = workspace.system;
  const { state } = parts.trail;
  const { restored } = await tasks.load();
  const forgotten = await findForgotten(parts);
  for (const task of tasks.live()) {
    if (!workspace.estate.agents.has(task.agent)) {
      await tasks.end(task.id, 'agent_disabled');
      continue;
    }
    const known = state.tasks.get(task.id);
    // The journal is the authority on what happened. What such a task has used of its budget cannot be known.
    if (known?.hasEnded === true || forgotten.has(task.id)) {
      log.error({ task: task.id }, 'the store has a task that the trail has ended, or forgotten: it ends');
      await tasks.end(task.id, 'revoked');
      continue;
    }
    await taskKeys.load(task.id);
    tasks.restoreUsed(task.id, known?.calls ?? 0);
    if (known?.prompt !== undefined) prompts?.restore(task.id, known.prompt);
    if (known?.flow !== undefined) flow.restore(task, known.flow);
    if (known === undefined) {
      state.tasks.set(task.id, { from: state.upTo, ...NOTHING_LEFT, parent: task.parent, hasEnded: false });
    }
  }
  return restored;
}

/** Tasks of the store that a mark leaves out although they have records before it: it, or the store, is not as it was. */
async function findForgotten({
  workspace,
  journal,
  tasks,
  trail: { state, mark },
}: Pick<Parameters<typeof recover>[0], 'workspace' | 'journal' | 'tasks' | 'trail'>): Promise<ReadonlySet<TaskId>> {
  // Those of no registered agent, the gateway's own among them, end anyway.
  const live = tasks.live().filter(({ agent }) => workspace.estate.agents.has(agent));
  const strangers = new Set(live.flatMap(({ id }) => (state.tasks.has(id) ? [] : [id])));
  const isAllRead = mark === undefined;
  return isAllRead || strangers.size === 0 ? new Set() : await findTaskRecords(journal.read(0), mark, strangers);
}
