import type { Command } from 'commander';
import { observeTask } from '../../audit/observe-task.ts';
import { readRecords } from '../../audit/read-records.ts';
import { buildEstate } from '../../compose/estate.ts';
import { compareTask } from '../../compose/explain/compare-task.ts';
import { journalFolders } from '../../compose/trail/journal-folders.ts';
import { findParts, type JournalPart, orElsewhere } from '../../compose/trail/journal-parts.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { RemitError } from '../../domain/errors.ts';
import { taskId } from '../../domain/ids.ts';
import type { AuditRecord } from '../../domain/record.ts';
import { type Common, command } from '../command.ts';
import { type JournalOptions, journalOptions } from '../journal-options.ts';
import { comparisonText } from '../task-text.ts';

async function* recordsOf(parts: readonly JournalPart[]): AsyncGenerator<AuditRecord, void> {
  for (const { access, from } of parts) yield* readRecords(access.read(from));
}

export function addTaskShowCommand(group: Command): void {
  command<Common & JournalOptions>(
    group,
    'show <task>',
    'what a task declared beside what it did, bound by bound, from the trail; with what was never used',
    journalOptions,
    async (output, options, [name = '']) => {
      const loaded = await loadConfig(options.config);
      const id = taskId(name);
      const folders = [placesOf(loaded).journal, ...(await journalFolders(options.journal))];
      const parts = await findParts(folders, { kind: 'task', task: id });
      const seen = await observeTask(recordsOf(parts), id);
      if (seen === undefined) {
        throw new RemitError('ERR_NOT_FOUND', `the start of ${name} is not on the trail`, {
          hint: orElsewhere(loaded.config, '`remit task ls --all` shows the tasks that there were.'),
        });
      }
      const comparison = compareTask(seen, buildEstate(loaded.config));
      output.result(comparison, () => comparisonText(comparison));
    },
  );
}
