import type { Recorder } from '../audit/recorder.ts';
import { messageOf } from '../domain/errors.ts';
import { FIRST_FENCE } from '../domain/node.ts';
import type { Standing } from '../domain/revocation.ts';
import { createTaskRegistry } from '../tasks/create-task-registry.ts';
import type { TaskRegistry } from '../tasks/task-registry.ts';
import type { Nodes } from './nodes/build-nodes.ts';
import type { TaskKeys } from './trail/task-keys.ts';
import { detailOfTask, identityOfTask } from './trail/task-records.ts';
import type { Workspace } from './workspace.ts';

/** Tasks over the store and the trail; among several nodes each begins as this one's, and the store counts those of an agent. */
export function buildTasks(parts: {
  workspace: Workspace;
  standing: Standing;
  taskKeys: Pick<TaskKeys, 'create' | 'forget'>;
  recorder: Recorder;
  /** Not there yet while the gateway is put together. */
  nodes: () => Nodes | undefined;
}): TaskRegistry {
  const { workspace, standing, taskKeys, recorder, nodes } = parts;
  const { estate, store, system } = workspace;
  const { clock, random, schedule, log } = system;
  const { tenant } = estate;
  return createTaskRegistry({
    tenant,
    standing,
    repository: store.tasks,
    isShared: store.shared !== undefined,
    templates: () => estate.templates,
    clock,
    schedule,
    random,
    log,
    onStarting: (task) => nodes()?.own(task.id, task.parent),
    async onRefused({ id }) {
      taskKeys.forget(id);
      await store.shared?.places
        .forget(tenant, [id])
        .catch((error: unknown) =>
          log.warn({ task: id, error: messageOf(error) }, 'the place of a task that did not begin is left over'),
        );
    },
    async onStarted(task) {
      await taskKeys.create(task.id);
      await recorder.record({ type: 'task_started', ...identityOfTask(task), detail: detailOfTask(task) });
      nodes()?.ledger.add(task.id, FIRST_FENCE);
    },
  });
}
