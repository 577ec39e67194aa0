import type { Command } from 'commander';
import { ensureVaultKey, keyPlaceText } from '../../compose/vault-key.ts';
import { loadConfig } from '../../config/load-config.ts';
import { SECRET_NAME } from '../../config/schema-parts.ts';
import { RemitError } from '../../domain/errors.ts';
import { Secret } from '../../domain/secret.ts';
import { table } from '../output.ts';
import { type Common, command, readStandardInput } from '../program.ts';
import { recordChange } from '../record-change.ts';
import { withWorkspace } from '../with-workspace.ts';

export function addSecretCommands(program: Command): void {
  const group = program.command('secret').description('the vault: static secrets, sealed at rest');

  command<Common>(
    group,
    'init',
    'make the vault key, if there is none',
    (c) => c,
    async (output, options) => {
      const loaded = await loadConfig(options.config);
      const created = await ensureVaultKey(loaded);
      const key = keyPlaceText(loaded, loaded.config.vaultKey);
      output.result({ key, created }, () =>
        created
          ? `written: ${key}, for this user alone. Without it nothing that is sealed can be opened: back it up apart.`
          : `${key} is there already`,
      );
    },
  );

  command<Common>(
    group,
    'put <name> [value]',
    'store a secret, read from standard input',
    (c) => c,
    async (output, options, [name = '', typed]) => {
      if (typed !== undefined && typed !== '') {
        throw new RemitError('ERR_SECRET_ON_COMMAND_LINE', 'a secret typed on the command line was refused', {
          hint: `It can be read by every user of this machine and is in your shell’s history: treat it as leaked. Then use: remit secret put ${name} < file`,
        });
      }
      if (!SECRET_NAME.test(name)) {
        throw new RemitError('ERR_USAGE', `${name} cannot be the name of a secret`, {
          hint: 'A name is 1–63 of a–z, 0–9, _ and -, starting with a letter; those that start with remit- are Remit’s own.',
        });
      }
      const text = (await readStandardInput('a secret')).replace(/\r?\n$/, '');
      if (text === '')
        throw new RemitError('ERR_USAGE', 'standard input was empty', { hint: `remit secret put ${name} < file` });
      const version = await withWorkspace(options, async (workspace) => {
        await recordChange(workspace, { action: 'secret_put', name });
        return workspace.vault.put(name, new Secret(text));
      });
      output.result({ name, version }, () => `${name}: version ${version} sealed`);
    },
  );

  command<Common>(
    group,
    'ls',
    'list secrets, never their values',
    (c) => c,
    async (output, options) => {
      const entries = (await withWorkspace(options, ({ vault }) => vault.list())).filter(({ name }) =>
        SECRET_NAME.test(name),
      );
      output.result(entries, () =>
        table(
          ['NAME', 'VERSION', 'SINCE', 'SEALED UNDER'],
          entries.map((entry) => [
            entry.name,
            String(entry.version),
            new Date(entry.createdAt).toISOString(),
            entry.keyId,
          ]),
          'The vault is empty.',
        ),
      );
    },
  );

  command<Common>(
    group,
    'rm <name>',
    'remove a secret in all its versions',
    (c) => c,
    async (output, options, [name = '']) => {
      const removed =
        SECRET_NAME.test(name) &&
        (await withWorkspace(options, async (workspace) => {
          await recordChange(workspace, { action: 'secret_remove', name });
          return workspace.vault.remove(name);
        }));
      if (!removed)
        throw new RemitError('ERR_NOT_FOUND', `no secret is called ${name}`, { hint: '`remit secret ls` lists them.' });
      output.result({ name, removed }, () => `${name} is removed`);
    },
  );
}
