import type { Command } from 'commander';
import { acceptRestored } from '../../compose/trail/store-set-back.ts';
import { RemitError } from '../../domain/errors.ts';
import { type Common, command } from '../command.ts';
import { withWorkspace } from '../with-workspace.ts';
import { refuseWhileRunning } from './audit-accept-damage.ts';

/** `remit audit accept-restored`: the way out of revoke-only where the store is older than the trail, on record. */
export function addAcceptRestoredCommand(group: Command): void {
  command<Common & { reason?: string }>(
    group,
    'accept-restored',
    'go on with a store that was put back from a copy: what it has forgotten of suspensions and revocations is ordered again',
    (c) => c.option('--reason <text>', 'why, for the record'),
    async (output, options) => {
      const { reason } = options;
      if (reason === undefined || reason === '')
        throw new RemitError('ERR_USAGE', 'why is for the record', { hint: 'Give it with --reason.' });
      await withWorkspace(options, async (workspace) => {
        await refuseWhileRunning(workspace.places.socket);
        const accepted = await acceptRestored(workspace, reason);
        output.result(accepted, () =>
          [
            accepted.problem,
            ...accepted.givenAgain.map(({ action, subject }) => `  again: ${action} ${subject}`),
            '  what had been resumed since is for you to resume; credentials that were leased after the copy are in no row: see their `credential_issued` records',
          ].join('\n'),
        );
      });
    },
  );
}
