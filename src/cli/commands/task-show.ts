import type { Command } from 'commander';
import { observeTask } from '../../audit/observe-task.ts';
import { findStoryStart } from '../../audit/read-backwards.ts';
import { readRecords } from '../../audit/read-records.ts';
import { buildEstate } from '../../compose/estate.ts';
import { compareTask } from '../../compose/explain/compare-task.ts';
import { createJournalAccess } from '../../compose/trail/journal-access.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { RemitError } from '../../domain/errors.ts';
import { taskId } from '../../domain/ids.ts';
import { type Common, command } from '../command.ts';
import { comparisonText } from '../task-text.ts';

export function addTaskShowCommand(group: Command): void {
  command<Common>(
    group,
    'show <task>',
    'what a task declared beside what it did, bound by bound, from the trail; with what was never used',
    (c) => c,
    async (output, options, [name = '']) => {
      const loaded = await loadConfig(options.config);
      const access = createJournalAccess(placesOf(loaded).journal);
      const id = taskId(name);
      const from = await findStoryStart(access, { kind: 'task', task: id });
      const seen = from === undefined ? undefined : await observeTask(readRecords(access.read(from)), id);
      if (seen === undefined) {
        throw new RemitError('ERR_NOT_FOUND', `the start of ${name} is not on the trail`, {
          hint: '`remit task ls --all` shows the tasks that there were.',
        });
      }
      const comparison = compareTask(seen, buildEstate(loaded.config));
      output.result(comparison, () => comparisonText(comparison));
    },
  );
}
