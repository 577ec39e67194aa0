import { type Auditor, isWrapped, wrapForAuditors } from '../../audit/auditor-keys.ts';
import type { SealInput } from '../../audit/recorder.ts';
import { type ContentSealer, createContentSealer } from '../../audit/seal-content.ts';
import { RemitError } from '../../domain/errors.ts';
import type { RandomBytes, TaskId, TenantId } from '../../domain/ids.ts';
import type { Clock } from '../../seams/clock.ts';
import type { TaskKeyRepository } from '../../seams/store.ts';
import type { Vault } from '../../secrets/vault.ts';

/** Name under which the vault seals the key of a task. */
export const taskKeyRecord = (name: string): string => `task-key:${name}`;

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
  /** Left out, or none: the vault alone seals. */
  auditors?: readonly Auditor[];
}): TaskKeys {
  const { tenant, repository, vault, random, clock, auditors = [] } = parts;
  const keys = new Map<TaskId, { readonly bytes: Buffer; readonly sealer: ContentSealer }>();
  const keep = (task: TaskId, name: string, bytes: Buffer): void => {
    keys.set(task, { bytes, sealer: createContentSealer({ name, bytes }, random) });
  };

  async function make(task: TaskId, name: string): Promise<void> {
    const bytes = Buffer.from(random(32));
    const stored = auditors.length === 0 ? bytes : await wrapForAuditors(bytes, name, auditors);
    const sealed = await vault.seal(taskKeyRecord(name), stored);
    await repository.insert({ tenant, task: name as TaskId, ...sealed, createdAt: clock() });
    keep(task, name, bytes);
  }

  return {
    create: (task) => make(task, task),
    async load(task) {
      const row = await repository.get(tenant, task);
      if (row === undefined) return;
      const stored = await vault.open(taskKeyRecord(task), row);
      if (!isWrapped(stored)) return keep(task, task, stored);
      // It is for auditors to open, not for us: what is sealed from now on gets another one.
      for (let run = 1; ; run++) {
        const name = `${task}.${run}`;
        if ((await repository.get(tenant, name as TaskId)) === undefined) return make(task, name);
      }
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
