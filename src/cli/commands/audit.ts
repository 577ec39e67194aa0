import type { Command } from 'commander';
import { STATE_KEY } from '../../compose/credentials/state-key.ts';
import { RemitError } from '../../domain/errors.ts';
import type { TaskId } from '../../domain/ids.ts';
import { type Common, command } from '../command.ts';
import { recordChange } from '../record-change.ts';
import { withWorkspace } from '../with-workspace.ts';
import { addAcceptDamageCommand } from './audit-accept-damage.ts';
import { addAcceptRestoredCommand } from './audit-accept-restored.ts';
import { addExportCommand } from './audit-export.ts';
import { addProveCommands } from './audit-prove.ts';
import { addRotateCommand } from './audit-rotate.ts';
import { addShowCommand } from './audit-show.ts';
import { addTailCommand } from './audit-tail.ts';
import { addVerifyCommand } from './audit-verify.ts';

export function addAuditCommands(program: Command, version: string): void {
  const group = program.command('audit').description('the tamper-evident trail');
  addTailCommand(group);
  addShowCommand(group);
  addExportCommand(group, version);
  addVerifyCommand(group);
  addProveCommands(group);
  addRotateCommand(group);
  addAcceptDamageCommand(group);
  addAcceptRestoredCommand(group);

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
