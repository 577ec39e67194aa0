import type { Command } from 'commander';
import { createJournalAccess } from '../../compose/journal-access.ts';
import { STATE_KEY } from '../../compose/state-key.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { RemitError } from '../../domain/errors.ts';
import type { TaskId } from '../../domain/ids.ts';
import { type Common, command } from '../program.ts';
import { recordChange } from '../record-change.ts';
import { withWorkspace } from '../with-workspace.ts';
import { addAcceptDamageCommand } from './audit-accept-damage.ts';
import { addExportCommand } from './audit-export.ts';
import { addShowCommand } from './audit-show.ts';
import { addTailCommand } from './audit-tail.ts';

export function addAuditCommands(program: Command, version: string): void {
  const group = program.command('audit').description('the tamper-evident trail');
  addTailCommand(group);
  addShowCommand(group);
  addExportCommand(group, version);
  addAcceptDamageCommand(group);

  command<Common & { folder?: string; key?: string; anchor?: string }>(
    group,
    'verify',
    'check every record against checksums, hash tree and signed checkpoints; offline',
    (c) =>
      c
        .option('--folder <path>', 'a journal, or a copy of one; left out: the configured one')
        .option('--key <vkey>', 'the verifier key as noted elsewhere; left out: the one in the folder is believed')
        .option('--anchor <file>', 'a checkpoint that was kept elsewhere'),
    async (output, options) => {
      const folder = options.folder ?? placesOf(await loadConfig(options.config)).journal;
      const verified = await createJournalAccess(folder).verify({ key: options.key, anchorFile: options.anchor });
      if (!verified.ok) {
        const { where, what } = verified.problem;
        const at = `${where.file}, byte ${where.offset}${where.record === undefined ? '' : `, record ${where.record}`}`;
        throw new RemitError('ERR_JOURNAL_DAMAGED', `the journal is not what was written: ${what} (${at})`, {
          where: at,
          hint: 'Keep this folder as it is for an investigation, and compare it with a backup or an exported checkpoint.',
        });
      }
      output.result(verified, () =>
        [
          `verified: ${verified.size} records, ${verified.checkpoints} signed checkpoints, ${verified.signedSize} records under a signature`,
          ...(options.key === undefined
            ? ['note: the verifier key was taken from the folder; give --key to rule out that it was replaced too']
            : []),
          ...(verified.incompleteBytes > 0
            ? [`note: ${verified.incompleteBytes} bytes of an incomplete last record`]
            : []),
        ].join('\n'),
      );
    },
  );

  command<Common>(
    group,
    'erase <task>',
    'erase the key of an ended task: its sealed arguments can never be read again; the trail still verifies',
    (c) => c,
    async (output, options, [task = '']) => {
      await withWorkspace(options, async (workspace) => {
        const { tenant } = workspace.estate;
        // Beside the keys of tasks there lies the one that seals what clients carry: without it, no gateway of this store starts as it was.
        if (task === STATE_KEY) {
          throw new RemitError('ERR_USAGE', `${task} is no task`, { hint: 'Name a task: `remit task ls --all`.' });
        }
        const known = await workspace.store.tasks.get(tenant, task as TaskId);
        if (known !== undefined && known.state !== 'ended') {
          throw new RemitError('ERR_USAGE', `${task} has not ended`, { hint: `End it first: remit task end ${task}` });
        }
        await recordChange(workspace, { action: 'content_key_erase', task });
        const erased = await workspace.store.taskKeys.erase(tenant, task as TaskId);
        if (!erased)
          throw new RemitError('ERR_NOT_FOUND', `there is no key of ${task}`, {
            hint: 'It may have been erased before.',
          });
        output.result({ task, erased }, () => `the key of ${task} is erased`);
      });
    },
  );
}
