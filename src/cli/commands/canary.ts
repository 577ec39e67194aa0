import type { Command } from 'commander';
import { addCanary, listCanaries, removeCanary } from '../../compose/connectors/canaries.ts';
import type { Workspace } from '../../compose/workspace.ts';
import { isRemitError } from '../../domain/errors.ts';
import { Secret } from '../../domain/secret.ts';
import { callEveryAdmin } from '../admin-client.ts';
import { type Common, command, readStandardInput } from '../command.ts';
import { table } from '../output.ts';
import { recordChange } from '../record-change.ts';
import { withWorkspace } from '../with-workspace.ts';

interface AddOptions extends Common {
  readonly zone: string;
  readonly stdin?: boolean;
}

export function addCanaryCommands(program: Command): void {
  const group = program
    .command('canary')
    .description(
      'values that stand somewhere for nobody to use: a call that carries one is denied, its task held back',
    );

  command<AddOptions>(
    group,
    'add',
    'register a canary; its value is shown once, and kept as a keyed fingerprint only',
    (c) =>
      c
        .requiredOption('--zone <zone>', 'where it is put out')
        .option('--stdin', 'a value that stands there already, from standard input; left out: one is made'),
    async (output, options) => {
      const own =
        options.stdin === true ? new Secret((await readStandardInput('a value')).replace(/\r?\n$/, '')) : undefined;
      const added = await withWorkspace(options, async (workspace) => {
        const made = await addCanary(workspace, options.zone, own, (change) => recordChange(workspace, change));
        await tellGateway(workspace);
        return made;
      });
      const { id, zone, value } = added;
      // What was read from standard input is not repeated.
      const shown = own === undefined ? value.reveal() : undefined;
      output.result({ canary: id, zone, ...(shown !== undefined && { value: shown }) }, () =>
        shown === undefined
          ? `${id}: no call may carry that value from now on`
          : `${shown}\n\n${id} of zone ${zone}: put this value where nobody has any use for it. It is not shown again.`,
      );
    },
  );

  command<Common>(
    group,
    'ls',
    'list canaries: zone and age; never their values',
    (c) => c,
    async (output, options) => {
      const canaries = await withWorkspace(options, listCanaries);
      output.result(
        canaries.map(({ id, zone, createdAt, createdBy }) => ({ canary: id, zone, createdAt, createdBy })),
        () =>
          table(
            ['CANARY', 'ZONE', 'SINCE', 'BY'],
            canaries.map(({ id, zone, createdAt, createdBy }) => [
              id,
              zone,
              new Date(createdAt).toISOString(),
              createdBy,
            ]),
            'there is no canary: `remit canary add --zone ZONE` makes one',
          ),
      );
    },
  );

  command<Common>(
    group,
    'rm <id>',
    'forget a canary: calls may carry it again',
    (c) => c,
    async (output, options, [id = '']) => {
      await withWorkspace(options, async (workspace) => {
        await removeCanary(workspace, id, (change) => recordChange(workspace, change));
        await tellGateway(workspace);
      });
      output.result({ canary: id, removed: true }, () => `${id} is forgotten`);
    },
  );
}

/** A gateway that runs here takes them up at once; any other at its next start. */
async function tellGateway({ places }: Workspace): Promise<void> {
  try {
    await callEveryAdmin(places.socket, 'reload-canaries');
  } catch (error) {
    if (!isRemitError(error, 'ERR_GATEWAY_UNREACHABLE')) throw error;
  }
}
