import type { JWK } from 'jose';
import { createJournalReader } from '../../adapters/journal/journal-reader.ts';
import { isWrapped, unwrapForAuditor } from '../../audit/auditor-keys.ts';
import type { Payloads } from '../../audit/read-records.ts';
import { openContent } from '../../audit/seal-content.ts';
import { RemitError } from '../../domain/errors.ts';
import type { TaskId } from '../../domain/ids.ts';
import type { AuditRecord } from '../../domain/record.ts';
import type { Workspace } from '../workspace.ts';
import { taskKeyRecord } from './task-keys.ts';
import { type VerifiedTrail, verifyTrail } from './verify-trail.ts';

/** Read-only access to a journal, gateway running or not. */
export interface JournalAccess {
  readonly read: (from: number) => Payloads;
  /** Positions at which reading can begin at no cost, oldest first. */
  readonly starts: () => Promise<readonly number[]>;
  verify(options: { key: string | undefined; anchorFile: string | undefined }): Promise<VerifiedTrail>;
  /**
   * Opens the decision inputs of a record.
   * @param auditorKey private key of an auditor, where content is for auditors alone
   * @throws `ERR_NOT_FOUND` when the task's key has been erased, `ERR_AUDITOR_KEY`
   */
  openContent(workspace: Workspace, record: AuditRecord, auditorKey?: JWK): Promise<string>;
}

export function createJournalAccess(folder: string): JournalAccess {
  const reader = createJournalReader(folder);
  return {
    read: (from) => reader.read(from),
    starts: () => reader.starts(),
    verify: (options) => verifyTrail(folder, options),
    async openContent(workspace, record, auditorKey) {
      const { sealed, task, span } = record;
      if (sealed === undefined || task === undefined || span === undefined)
        throw new RemitError('ERR_NOT_FOUND', 'the record has no sealed content');
      const bytes = await openContentKey(workspace, task, sealed.key, auditorKey);
      return openContent(sealed, { task, span }, { name: sealed.key, bytes });
    },
  };
}

/**
 * The key that content of a task is sealed under.
 * @throws `ERR_NOT_FOUND` when it has been erased, `ERR_AUDITOR_KEY`, `ERR_VAULT_KEY_WRONG`
 */
export async function openContentKey(
  { store, vault, estate }: Workspace,
  task: TaskId,
  name: string,
  auditorKey: JWK | undefined,
): Promise<Buffer> {
  if (name !== task && !name.startsWith(`${task}.`)) {
    throw new RemitError('ERR_VAULT_KEY_WRONG', 'the record names the key of another task', { where: task });
  }
  const row = await store.taskKeys.get(estate.tenant, name as TaskId);
  if (row === undefined) {
    throw new RemitError('ERR_NOT_FOUND', `the key of ${task} has been erased: its content can no longer be read`, {
      where: task,
    });
  }
  const stored = await vault.open(taskKeyRecord(name), row);
  if (isWrapped(stored) && auditorKey === undefined) {
    throw new RemitError('ERR_AUDITOR_KEY', 'this content is for auditors alone', {
      where: task,
      hint: 'Give an auditor’s private key with --auditor-key.',
    });
  }
  return isWrapped(stored) ? unwrapForAuditor(stored, name, auditorKey as JWK) : stored;
}
