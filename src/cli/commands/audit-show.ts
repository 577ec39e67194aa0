import type { Command } from 'commander';
import { findStoryStart } from '../../audit/read-backwards.ts';
import { readRecords } from '../../audit/read-records.ts';
import { subjectOf, tellStory } from '../../audit/tell-story.ts';
import { createJournalAccess } from '../../compose/trail/journal-access.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { RemitError } from '../../domain/errors.ts';
import { type Common, command } from '../command.ts';
import { type ContentOptions, contentOptions, openContents } from '../content-options.ts';
import { storyText } from '../record-text.ts';

export function addShowCommand(group: Command): void {
  command<Common & ContentOptions>(
    group,
    'show <id>',
    'tell one call, task or credential as a story, from the prompt to the end of the right that it used',
    contentOptions,
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
      const { task, trace } = story;
      const records = story.steps.map(({ record }) => record);
      const contents = await openContents(options, access, { id, task, trace }, records);
      output.result({ ...story, contents }, () =>
        [storyText(story), '', ...Object.entries(contents).map(([seq, text]) => `#${seq}  ${text}`)].join('\n'),
      );
    },
  );
}
