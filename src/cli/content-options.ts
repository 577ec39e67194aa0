import type { Command } from 'commander';
import { readAuditorKey } from '../compose/trail/auditor-files.ts';
import type { JournalAccess } from '../compose/trail/journal-access.ts';
import { recordContentRead } from '../compose/trail/record-administration.ts';
import { RemitError } from '../domain/errors.ts';
import type { TaskId, TraceId } from '../domain/ids.ts';
import type { AuditRecord } from '../domain/record.ts';
import { callAdmin } from './admin-client.ts';
import { withWorkspace } from './with-workspace.ts';

/** Options of commands that can open what is sealed. */
export interface ContentOptions {
  readonly config: string;
  readonly content: boolean;
  readonly reason?: string;
  readonly auditorKey?: string;
}

export const contentOptions = (c: Command): Command =>
  c
    .option('--content', 'open what is sealed; that it was read, and why, goes on the trail first', false)
    .option('--reason <text>', 'why it is read, for the trail')
    .option('--auditor-key <file>', 'private key of an auditor, where the configuration names auditors');

/**
 * Opens sealed content, by position of its record, once it is on the trail that somebody does.
 * @throws `ERR_USAGE` without a reason, `ERR_AUDITOR_KEY`, `ERR_NOT_FOUND`
 */
export async function openContents(
  options: ContentOptions,
  access: JournalAccess,
  about: { readonly id: string; readonly task?: TaskId | undefined; readonly trace?: TraceId | undefined },
  records: readonly AuditRecord[],
): Promise<Record<string, string>> {
  const { reason } = options;
  if (reason === undefined || reason.trim() === '') {
    throw new RemitError('ERR_USAGE', 'reading content needs a reason', {
      hint: 'Say why with --reason: it goes on the trail, with who read.',
    });
  }
  const { id, task, trace } = about;
  const key = options.auditorKey === undefined ? undefined : await readAuditorKey(options.auditorKey);
  const contents: Record<string, string> = {};
  await withWorkspace(options, async (workspace) => {
    const sealed = records.filter((record) => record.sealed !== undefined);
    await recordContentRead(
      workspace,
      { about: id, reason, records: sealed.length, ...(key?.kid !== undefined && { auditorKey: key.kid }) },
      { ...(task !== undefined && { task }), ...(trace !== undefined && { trace }) },
      ({ detail }) =>
        callAdmin(workspace.places.socket, 'record-content-read', {
          detail: JSON.stringify(detail),
          ...(task !== undefined && { task }),
          ...(trace !== undefined && { trace }),
        }),
    );
    for (const record of sealed) contents[record.seq] = await access.openContent(workspace, record, key);
  });
  return contents;
}
