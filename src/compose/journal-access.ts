import { readFile } from 'node:fs/promises';
import { createJournalReader } from '../adapters/journal/journal-reader.ts';
import { type Verification, verifyJournal } from '../adapters/journal/verify-journal.ts';
import type { Payloads } from '../audit/read-records.ts';
import { openContent } from '../audit/seal-content.ts';
import { RemitError } from '../domain/errors.ts';
import type { AuditRecord } from '../domain/record.ts';
import { taskKeyRecord } from './task-keys.ts';
import type { Workspace } from './workspace.ts';

/** Read-only access to a journal, gateway running or not. */
export interface JournalAccess {
  readonly read: (from: number) => Payloads;
  verify(options: { key: string | undefined; anchorFile: string | undefined }): Promise<Verification>;
  /** Opens the decision inputs of a record. @throws `ERR_NOT_FOUND` when the task's key has been erased */
  openContent(workspace: Workspace, record: AuditRecord): Promise<string>;
}

export function createJournalAccess(folder: string): JournalAccess {
  const reader = createJournalReader(folder);
  return {
    read: (from) => reader.read(from),
    async verify({ key, anchorFile }) {
      return verifyJournal(folder, {
        ...(key !== undefined && { verifierKey: key }),
        ...(anchorFile !== undefined && { anchor: await readFile(anchorFile, 'utf8') }),
      });
    },
    async openContent({ store, vault, estate }, { sealed, task, span }) {
      if (sealed === undefined || task === undefined || span === undefined)
        throw new RemitError('ERR_NOT_FOUND', 'the record has no sealed content');
      const row = await store.taskKeys.get(estate.tenant, task);
      if (row === undefined) {
        throw new RemitError('ERR_NOT_FOUND', `the key of ${task} has been erased: its content can no longer be read`, {
          where: task,
        });
      }
      const bytes = await vault.open(taskKeyRecord(task), row);
      return openContent(sealed, { task, span }, { name: sealed.key, bytes });
    },
  };
}
