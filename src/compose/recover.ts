import type { Prompts } from '../audit/prompts.ts';
import { readRecords } from '../audit/read-records.ts';
import type { Recorder } from '../audit/recorder.ts';
import { outcomeUnknown, readHistory } from '../audit/unsettled.ts';
import type { LeaseManager } from '../leases/lease-manager.ts';
import type { Journal } from '../seams/journal.ts';
import type { TaskRegistry } from '../tasks/task-registry.ts';
import type { TaskKeys } from './task-keys.ts';
import type { Workspace } from './workspace.ts';

/**
 * What a gateway does before it serves: settles what an earlier one left open. Calls without an outcome are recorded as
 * `outcome_unknown` (A1); leases of the dead process are revoked (L4); tasks that still have time go on, with their budgets
 * charged by what the journal says was permitted; those of an agent that is no longer registered end.
 */
export async function recover(parts: {
  workspace: Workspace;
  journal: Journal;
  recorder: Recorder;
  tasks: TaskRegistry;
  leases: LeaseManager;
  taskKeys: TaskKeys;
  prompts: Prompts | undefined;
}): Promise<void> {
  const { workspace, journal, recorder, tasks, leases, taskKeys, prompts } = parts;
  const history = await readHistory(readRecords(journal.read(0)));
  for (const decision of history.unsettled) await recorder.record(outcomeUnknown(decision));
  const { restored } = await tasks.load();
  for (const task of tasks.live()) {
    if (!workspace.estate.agents.has(task.agent)) {
      await tasks.end(task.id, 'agent_disabled');
      continue;
    }
    await taskKeys.load(task.id);
    tasks.restoreUsed(task.id, history.permittedCalls.get(task.id) ?? 0);
    const prompt = history.prompts.get(task.id);
    if (prompt !== undefined) prompts?.restore(task.id, prompt);
  }
  await leases.recover();
  if (restored > 0 || history.unsettled.length > 0) {
    workspace.system.log.info(
      { tasks: restored, unsettled: history.unsettled.length },
      'recovered what an earlier gateway left',
    );
  }
}
