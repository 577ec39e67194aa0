import type { Command } from 'commander';
import { readRecords } from '../../audit/read-records.ts';
import { subjectOf, tellStory } from '../../audit/tell-story.ts';
import { createJournalAccess } from '../../compose/journal-access.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { RemitError } from '../../domain/errors.ts';
import { type Common, command } from '../program.ts';
import { storyText } from '../record-text.ts';
import { withWorkspace } from '../with-workspace.ts';

export function addShowCommand(group: Command): void {
  command<Common & { content: boolean }>(
    group,
    'show <id>',
    'tell one call, task or credential as a story, from the prompt to the end of the right that it used',
    (c) => c.option('--content', 'open the sealed arguments with the vault key', false),
    async (output, options, [id = '']) => {
      const subject = subjectOf(id);
      if (subject === undefined) {
        throw new RemitError('ERR_USAGE', `${id} is the id of nothing on the trail`, {
          hint: 'Give a span (16 hex digits), a trace (32), a task (tsk_…) or a lease (lse_…): `remit audit tail` shows them.',
        });
      }
      const access = createJournalAccess(placesOf(await loadConfig(options.config)).journal);
      const story = await tellStory(() => readRecords(access.read(0)), subject);
      if (story === undefined) {
        throw new RemitError('ERR_NOT_FOUND', `no record is about ${subject.kind} ${id}`, {
          hint: '`remit audit tail` shows what there is.',
        });
      }
      if (!options.content) return output.result(story, () => storyText(story));
      await withWorkspace(options, async (workspace) => {
        const contents: Record<string, string> = {};
        for (const { record } of story.steps) {
          if (record.sealed !== undefined) contents[record.seq] = await access.openContent(workspace, record);
        }
        output.result({ ...story, contents }, () =>
          [storyText(story), '', ...Object.entries(contents).map(([seq, text]) => `#${seq}  ${text}`)].join('\n'),
        );
      });
    },
  );
}
