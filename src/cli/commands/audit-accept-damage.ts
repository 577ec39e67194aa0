import type { Command } from 'commander';
import { acceptDamage } from '../../compose/trail/accept-damage.ts';
import { isRemitError, RemitError } from '../../domain/errors.ts';
import { callAdmin } from '../admin-client.ts';
import { type Common, command } from '../command.ts';
import { withWorkspace } from '../with-workspace.ts';

/** `remit audit accept-damage`: the way out of revoke-only, on record. */
export function addAcceptDamageCommand(group: Command): void {
  command<Common>(
    group,
    'accept-damage',
    'go on with a new journal after damage: the old one is kept, and named in the first record; active tasks end',
    (c) => c,
    async (output, options) => {
      await withWorkspace(options, async (workspace) => {
        await refuseWhileRunning(workspace.places.socket);
        const accepted = await acceptDamage(workspace);
        output.result(accepted, () =>
          [
            `a new journal has begun; the damaged one is kept in ${accepted.kept}`,
            `  ${accepted.problem}`,
            `  ${accepted.endedTasks} tasks ended: their budgets stood in the damaged journal`,
            '  note the new key: `remit audit verify` takes it from verifier.key unless --key is given',
          ].join('\n'),
        );
      });
    },
  );
}

/** @throws `ERR_ALREADY_RUNNING` */
export async function refuseWhileRunning(socket: string): Promise<void> {
  try {
    await callAdmin(socket, 'status');
  } catch (error) {
    if (isRemitError(error, 'ERR_GATEWAY_UNREACHABLE')) return;
    throw error;
  }
  throw new RemitError('ERR_ALREADY_RUNNING', 'a gateway is running on this data folder', {
    where: socket,
    hint: 'Stop it first; then run this again, and start it anew.',
  });
}
