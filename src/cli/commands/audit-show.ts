import type { Command } from 'commander';
import { readRecords } from '../../audit/read-records.ts';
import { type Story, subjectOf, tellStory } from '../../audit/tell-story.ts';
import { journalFolders } from '../../compose/trail/journal-folders.ts';
import { findParts, orElsewhere } from '../../compose/trail/journal-parts.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { RemitError } from '../../domain/errors.ts';
import { type Common, command } from '../command.ts';
import { type ContentOptions, contentOptions, openContents } from '../content-options.ts';
import { type JournalOptions, journalOptions } from '../journal-options.ts';
import { storyText } from '../record-text.ts';

type Told = Story & { readonly journal: string; readonly contents?: Readonly<Record<string, string>> };

function toldText(told: Told): string {
  const { contents } = told;
  if (contents === undefined) return storyText(told);
  return [storyText(told), '', ...Object.entries(contents).map(([seq, text]) => `#${seq}  ${text}`)].join('\n');
}

/** A task that came from another node has a beginning that is not here. */
function movedNotes({ steps }: Story): string[] {
  const from = steps.flatMap(({ record: { type, detail } }) =>
    type === 'task_adopted' && typeof detail.from === 'string' ? [detail.from] : [],
  );
  if (from.length === 0) return [];
  const nodes = [...new Set(from)].join(', ');
  return [
    '',
    `note: the task was at node ${nodes} before; what it did there stands in that journal: give it with --journal`,
  ];
}

export function addShowCommand(group: Command): void {
  command<Common & ContentOptions & JournalOptions>(
    group,
    'show <id>',
    'tell one call, task or credential as a story, from the prompt to the end of the right that it used',
    (c) => journalOptions(contentOptions(c)),
    async (output, options, [id = '']) => {
      const subject = subjectOf(id);
      if (subject === undefined) {
        throw new RemitError('ERR_USAGE', `${id} is the id of nothing on the trail`, {
          hint: 'Give a span (16 hex digits), a trace (32), a task (tsk_…) or a lease (lse_…): `remit audit tail` shows them.',
        });
      }
      const loaded = await loadConfig(options.config);
      const parts = await findParts([placesOf(loaded).journal, ...(await journalFolders(options.journal))], subject);
      const stories: Told[] = [];
      for (const { folder, access, from } of parts) {
        const story = await tellStory(() => readRecords(access.read(from)), subject);
        if (story === undefined) continue;
        const { task, trace, steps } = story;
        const records = steps.map(({ record }) => record);
        const contents = options.content
          ? await openContents(options, access, { id, task, trace }, records)
          : undefined;
        stories.push({ journal: folder, ...story, ...(contents && { contents }) });
      }
      const [only] = stories;
      if (only === undefined) {
        throw new RemitError('ERR_NOT_FOUND', `no record is about ${subject.kind} ${id}`, {
          hint: orElsewhere(loaded.config, '`remit audit tail` shows what there is.'),
        });
      }
      if (options.journal.length > 0) {
        return output.result({ stories }, () =>
          stories.map((told) => `journal ${told.journal}\n${toldText(told)}`).join('\n\n'),
        );
      }
      const { journal: _, ...story } = only;
      output.result(story, () => [toldText(only), ...movedNotes(only)].join('\n'));
    },
  );
}
