import type { Prompts } from '../audit/prompts.ts';
import type { Recorder } from '../audit/recorder.ts';
import { messageOf } from '../domain/errors.ts';
import type { TaskId } from '../domain/ids.ts';
import type { LeaseManager } from '../leases/lease-manager.ts';
import type { Deviations } from '../revocation/deviations.ts';
import type { Journal } from '../seams/journal.ts';
import type { Telemetry } from '../seams/telemetry.ts';
import type { TaskRegistry } from '../tasks/task-registry.ts';
import type { Endpoint } from './build-endpoint.ts';
import type { Wire } from './build-wire.ts';
import { causeOf } from './revocation/apply-revocation.ts';
import type { TaskKeys } from './trail/task-keys.ts';
import { identityOfTask } from './trail/task-records.ts';
import type { Workspace } from './workspace.ts';

/** What goes with a task that ends, or is suspended, wherever it is (guarantee V2). */
export function joinTasks(parts: {
  workspace: Workspace;
  tasks: TaskRegistry;
  leases: LeaseManager;
  wire: Wire;
  /** Not there yet while an earlier gateway's tasks are settled. */
  endpoint: () => Endpoint | undefined;
  recorder: Recorder;
  journal: Journal;
  taskKeys: TaskKeys;
  prompts: Prompts | undefined;
  telemetry: Telemetry | undefined;
  deviations: () => Deviations;
}): void {
  const { tasks, leases, wire, endpoint, recorder, journal, taskKeys } = parts;
  const { log } = parts.workspace.system;

  /** Side by side, and neither waits for the other's success: a server that will not stop must not keep its credential. */
  async function letGo(task: TaskId, revoking: Promise<unknown>): Promise<void> {
    for (const result of await Promise.allSettled([wire.endTask(task), revoking])) {
      if (result.status === 'rejected') {
        log.error({ task, error: messageOf(result.reason) }, 'the end of a task is not complete yet');
      }
    }
  }

  tasks.onBarred(({ id }) => {
    endpoint()?.endTask(id);
    // Begun at once; waited for, and logged where it fails, with the task's end or suspension.
    wire.endTask(id).catch(() => undefined);
  });

  tasks.onSuspension(async (task, by) => {
    const detail = by === undefined ? {} : { position: by.position, by: by.by, reason: by.reason };
    const type = by === undefined ? 'task_resumed' : 'task_suspended';
    const recording = recorder.record({ type, ...identityOfTask(task), detail });
    // Nothing is kept for later: a task that goes on gets new ones.
    if (by !== undefined) await letGo(task.id, leases.suspendTask(task.id, causeOf(by)));
    await recording;
  });

  tasks.onEnd(async (task, reason) => {
    // One that came to its end while it was started has not been barred before.
    endpoint()?.endTask(task.id);
    await letGo(task.id, leases.revokeTask(task.id, reason));
    await recorder.record({ type: 'task_ended', ...identityOfTask(task), detail: { reason, purpose: task.purpose } });
    // The end of a task is where its story is complete: put it under a signature.
    await journal.checkpoint();
    parts.telemetry?.task(task, reason, parts.workspace.system.clock());
    taskKeys.forget(task.id);
    parts.prompts?.forget(task.id);
    parts.deviations().forgetTask(task.id);
  });
}
