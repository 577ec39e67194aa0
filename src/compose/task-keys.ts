import type { SealInput } from '../audit/recorder.ts';
import { type ContentSealer, createContentSealer } from '../audit/seal-content.ts';
import { RemitError } from '../domain/errors.ts';
import type { RandomBytes, TaskId, TenantId } from '../domain/ids.ts';
import type { Clock } from '../seams/clock.ts';
import type { TaskKeyRepository } from '../seams/store.ts';
import type { Vault } from '../secrets/vault.ts';

/** Name under which the vault seals the key of a task. */
export const taskKeyRecord = (task: TaskId): string => `task-key:${task}`;

/** Content keys of active tasks, in memory for the hot path, sealed in the store for later reading. */
export interface TaskKeys {
  create(task: TaskId): Promise<void>;
  /** Loads the key of a task that an earlier process started. */
  load(task: TaskId): Promise<void>;
  forget(task: TaskId): void;
  readonly seal: SealInput;
}

export function createTaskKeys(parts: {
  tenant: TenantId;
  repository: TaskKeyRepository;
  vault: Vault;
  random: RandomBytes;
  clock: Clock;
}): TaskKeys {
  const { tenant, repository, vault, random, clock } = parts;
  const keys = new Map<TaskId, { readonly bytes: Buffer; readonly sealer: ContentSealer }>();
  const keep = (task: TaskId, bytes: Buffer): void => {
    keys.set(task, { bytes, sealer: createContentSealer({ name: task, bytes }, random) });
  };
  return {
    async create(task) {
      const bytes = Buffer.from(random(32));
      await repository.insert({ tenant, task, ...(await vault.seal(taskKeyRecord(task), bytes)), createdAt: clock() });
      keep(task, bytes);
    },
    async load(task) {
      const row = await repository.get(tenant, task);
      if (row !== undefined) keep(task, await vault.open(taskKeyRecord(task), row));
    },
    forget(task) {
      keys.get(task)?.bytes.fill(0);
      keys.delete(task);
    },
    seal(task, text) {
      const key = keys.get(task);
      if (key === undefined) throw new RemitError('ERR_INTERNAL', 'the task has no content key', { where: task });
      return key.sealer.seal(text);
    },
  };
}
