import type { Command } from 'commander';
import { findStoryStart } from '../../audit/read-backwards.ts';
import { readRecords } from '../../audit/read-records.ts';
import { subjectOf, tellStory } from '../../audit/tell-story.ts';
import { readAuditorKey } from '../../compose/auditor-files.ts';
import { createJournalAccess } from '../../compose/journal-access.ts';
import { recordContentRead } from '../../compose/record-administration.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { RemitError } from '../../domain/errors.ts';
import { callAdmin } from '../admin-client.ts';
import { type Common, command } from '../program.ts';
import { storyText } from '../record-text.ts';
import { withWorkspace } from '../with-workspace.ts';

export function addShowCommand(group: Command): void {
  command<Common & { content: boolean; reason?: string; auditorKey?: string }>(
    group,
    'show <id>',
    'tell one call, task or credential as a story, from the prompt to the end of the right that it used',
    (c) =>
      c
        .option('--content', 'open what is sealed; that it was read, and why, goes on the trail first', false)
        .option('--reason <text>', 'why it is read, for the trail')
        .option('--auditor-key <file>', 'private key of an auditor, where the configuration names auditors'),
    async (output, options, [id = '']) => {
      const subject = subjectOf(id);
      if (subject === undefined) {
        throw new RemitError('ERR_USAGE', `${id} is the id of nothing on the trail`, {
          hint: 'Give a span (16 hex digits), a trace (32), a task (tsk_…) or a lease (lse_…): `remit audit tail` shows them.',
        });
      }
      const access = createJournalAccess(placesOf(await loadConfig(options.config)).journal);
      const from = await findStoryStart(access, subject);
      const story = from === undefined ? undefined : await tellStory(() => readRecords(access.read(from)), subject);
      if (story === undefined) {
        throw new RemitError('ERR_NOT_FOUND', `no record is about ${subject.kind} ${id}`, {
          hint: '`remit audit tail` shows what there is.',
        });
      }
      if (!options.content) return output.result(story, () => storyText(story));
      const { reason } = options;
      if (reason === undefined || reason.trim() === '') {
        throw new RemitError('ERR_USAGE', 'reading content needs a reason', {
          hint: 'Say why with --reason: it goes on the trail, with who read.',
        });
      }
      const key = options.auditorKey === undefined ? undefined : await readAuditorKey(options.auditorKey);
      await withWorkspace(options, async (workspace) => {
        const sealed = story.steps.filter(({ record }) => record.sealed !== undefined).length;
        const { task, trace } = story;
        await recordContentRead(
          workspace,
          { about: id, reason, records: sealed, ...(key?.kid !== undefined && { auditorKey: key.kid }) },
          { ...(task !== undefined && { task }), ...(trace !== undefined && { trace }) },
          ({ detail }) =>
            callAdmin(workspace.places.socket, 'record-content-read', {
              detail: JSON.stringify(detail),
              ...(task !== undefined && { task }),
              ...(trace !== undefined && { trace }),
            }),
        );
        const contents: Record<string, string> = {};
        for (const { record } of story.steps) {
          if (record.sealed !== undefined) contents[record.seq] = await access.openContent(workspace, record, key);
        }
        output.result({ ...story, contents }, () =>
          [storyText(story), '', ...Object.entries(contents).map(([seq, text]) => `#${seq}  ${text}`)].join('\n'),
        );
      });
    },
  );
}
