import type { Command } from 'commander';
import { secretUsers } from '../../compose/credentials/shared-secrets.ts';
import { storeSecret } from '../../compose/credentials/store-secret.ts';
import { removeSecret } from '../../compose/credentials/stored-token-authorization.ts';
import { ensureVaultKey, keyPlaceText } from '../../compose/credentials/vault-key.ts';
import { loadConfig } from '../../config/load-config.ts';
import { SECRET_NAME } from '../../config/schema-parts.ts';
import { RemitError } from '../../domain/errors.ts';
import { Secret } from '../../domain/secret.ts';
import { type Common, command, readStandardInput } from '../command.ts';
import { ageText, table } from '../output.ts';
import { recordChange } from '../record-change.ts';
import { withWorkspace } from '../with-workspace.ts';

/** What is typed beside the name may be a secret: it is taken in to be refused, and is never repeated. */
const takeAnything = (c: Command): Command => c.allowUnknownOption().allowExcessArguments();

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

  for (const [verb, action, what] of [
    ['put', 'secret_put', 'store a secret, read from standard input'],
    [
      'rotate',
      'secret_rotate',
      'put a new version in place, read from standard input; leases go on with what they hold',
    ],
  ] as const) {
    command<Common>(group, `${verb} <name> [typed...]`, what, takeAnything, async (output, options, args) => {
      const name = nameOf(verb, args);
      const text = (await readStandardInput('a secret')).replace(/\r?\n$/, '');
      if (text === '')
        throw new RemitError('ERR_USAGE', 'standard input was empty', { hint: `remit secret ${verb} ${name} < file` });
      const stored = await withWorkspace(options, (workspace) =>
        storeSecret(workspace, action, name, new Secret(text), (change) => recordChange(workspace, change)),
      );
      output.result(stored, () =>
        [
          `${name}: version ${stored.version} sealed`,
          ...(stored.leasesWithOld !== undefined
            ? [`${stored.leasesWithOld} leases go on with the version before, the last until ${stored.oldUntil}`]
            : []),
        ].join('\n'),
      );
    });
  }

  command<Common>(
    group,
    'ls',
    'list secrets: version, age, who uses them; never their values',
    (c) => c,
    async (output, options) => {
      const entries = await withWorkspace(options, async (workspace) => {
        const users = secretUsers(workspace);
        const { connectors } = workspace.config;
        const now = workspace.system.clock();
        return (await workspace.vault.list())
          .filter(({ name }) => SECRET_NAME.test(name))
          .map(({ name, version, keyId, createdAt }) => {
            const usedBy = (users.get(name) ?? []).map(({ connector, at }) => ({ connector, at }));
            const exceptions = usedBy.flatMap(({ connector }) => {
              const exception = connectors[connector]?.credential?.static?.exception;
              return exception === undefined ? [] : [{ connector, owner: exception.owner, expires: exception.expires }];
            });
            const ageDays = Math.floor((now - createdAt) / DAY_MS);
            return { name, version, keyId, createdAt, ageDays, usedBy, exceptions };
          });
      });
      const now = Date.now();
      output.result(entries, () =>
        table(
          ['NAME', 'VERSION', 'AGE', 'SEALED UNDER', 'USED BY', 'EXCEPTION'],
          entries.map(({ name, version, createdAt, keyId, usedBy, exceptions }) => [
            name,
            String(version),
            ageText(now - createdAt),
            keyId,
            usedBy.map(({ connector, at }) => `${connector} (${at})`).join(', ') || '-',
            exceptions.map(({ owner, expires }) => `${owner} until ${expires}`).join(', ') || '-',
          ]),
          'The vault is empty.',
        ),
      );
    },
  );

  command<Common & { force: boolean }>(
    group,
    'rm <name> [typed...]',
    'remove a secret; refused while something uses it',
    (c) =>
      takeAnything(c).option('--force', 'remove it though it is in use: what uses it is refused from then on', false),
    async (output, options, args) => {
      const name = nameOf('rm', args);
      const removed = await withWorkspace(options, async (workspace) => {
        const { vault } = workspace;
        if (!(await vault.list()).some((entry) => entry.name === name)) return false;
        const usedBy = (secretUsers(workspace).get(name) ?? []).map(({ connector, at }) => `${connector} (${at})`);
        if (usedBy.length > 0 && !options.force) {
          throw new RemitError('ERR_SECRET_IN_USE', `${name} is used by ${usedBy.join(', ')}`, {
            where: name,
            hint: 'Take it out of the configuration first; or use --force, which is on the trail: calls and revocations that need it fail from then on.',
          });
        }
        await recordChange(workspace, {
          action: 'secret_remove',
          name,
          ...(usedBy.length > 0 && { force: true, usedBy }),
        });
        return removeSecret(vault, name);
      });
      if (!removed)
        throw new RemitError('ERR_NOT_FOUND', `no secret is called ${name}`, { hint: '`remit secret ls` lists them.' });
      output.result({ name, removed }, () => `${name} is removed`);
    },
  );
}

const DAY_MS = 86_400_000;

/** @throws `ERR_SECRET_ON_COMMAND_LINE`, `ERR_USAGE`; neither repeats what was typed */
function nameOf(verb: string, [name = '', ...typed]: readonly (string | readonly string[] | undefined)[]): string {
  const isName = SECRET_NAME.test(String(name));
  if (typed.flat().some((text) => text !== undefined && text !== '')) {
    const safe =
      verb === 'rm'
        ? `remit secret rm ${isName ? name : 'NAME'}`
        : `remit secret ${verb} ${isName ? name : 'NAME'} < file`;
    throw new RemitError('ERR_SECRET_ON_COMMAND_LINE', 'a secret typed on the command line was refused', {
      hint: `It can be read by every user of this machine and is in your shell’s history: if it was one, treat it as leaked. Then use: ${safe}`,
    });
  }
  if (isName) return String(name);
  if (verb === 'rm') {
    throw new RemitError('ERR_NOT_FOUND', 'no secret has that name', { hint: '`remit secret ls` lists them.' });
  }
  throw new RemitError('ERR_USAGE', 'that cannot be the name of a secret', {
    hint: 'A name is 1–63 of a–z, 0–9, _ and -, starting with a letter; those that start with remit- are Remit’s own. A secret itself is read from standard input.',
  });
}
