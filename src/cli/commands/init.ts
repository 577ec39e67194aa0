import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { writeAgentKey } from '../../agent/agent-key.ts';
import { accountName } from '../../compose/account-name.ts';
import { ensureVaultKey, isOursToMake } from '../../compose/credentials/vault-key.ts';
import { buildEstate } from '../../compose/estate.ts';
import { writePolicySchema } from '../../compose/policies/policies.ts';
import { placesOf } from '../../compose/workspace.ts';
import { casesJsonSchema, configJsonSchema } from '../../config/json-schema.ts';
import { loadConfig } from '../../config/load-config.ts';
import { RemitError } from '../../domain/errors.ts';
import { STRICTNESSES } from '../../domain/strictness.ts';
import { starterPolicies } from '../../policy/starter-policies.ts';
import { type Common, command } from '../command.ts';
import { starterConfig } from './init-files.ts';

/** `remit init`: a commented configuration, policies, keys, and a workspace folder; overwrites nothing. */
export function addInitCommand(program: Command): void {
  command<Common & { owner?: string; profile: string }>(
    program,
    'init [folder]',
    'write remit.yaml, policies/, an agent’s key and a vault key',
    (c) =>
      c
        .option('--owner <who>', 'who answers for the agent and the connector, for example an e-mail address')
        .option('--profile <strictness>', `how strict the policies are: ${STRICTNESSES.join(', ')}`, 'production'),
    async (output, { owner, profile }, [folder = '.']) => {
      const strictness = STRICTNESSES.find((one) => one === profile);
      if (strictness === undefined)
        throw new RemitError('ERR_USAGE', `--profile takes a strictness, not ${profile}`, {
          hint: `One of ${STRICTNESSES.join(', ')}.`,
        });
      const root = resolve(folder);
      const config = join(root, 'remit.yaml');
      if (await exists(config)) {
        throw new RemitError('ERR_USAGE', 'there is a remit.yaml already; nothing was changed', {
          where: config,
          hint: 'Use another folder: `remit init FOLDER`.',
        });
      }
      const answerable = (owner ?? `${accountName()}@localhost`).trim();
      if (answerable === '')
        throw new RemitError('ERR_USAGE', '--owner is empty', {
          hint: 'Name who answers for the agent and the connector, for example an e-mail address.',
        });
      await mkdir(join(root, 'workspace'), { recursive: true });
      await mkdir(join(root, 'policies'), { recursive: true });
      const written: string[] = [];
      const write = async (name: string, text: string): Promise<void> => {
        if (await exists(join(root, name))) return;
        await writeFile(join(root, name), text);
        written.push(name);
      };
      await write('remit.schema.json', `${JSON.stringify(configJsonSchema(), null, 2)}\n`);
      await write('cases.schema.json', `${JSON.stringify(casesJsonSchema(), null, 2)}\n`);
      for (const { path, text } of starterPolicies(strictness)) await write(join('policies', path), text);
      await write(join('workspace', 'hello.txt'), 'Hello from the workspace.\n');
      await write('remit.yaml', starterConfig(answerable, strictness));

      const loaded = await loadConfig(config);
      const places = placesOf(loaded);
      await mkdir(places.data, { recursive: true, mode: 0o700 });
      await writeIgnoreFile(places.data);
      if (isOursToMake(loaded.config.vaultKey)) await ensureVaultKey(loaded);
      if (!(await exists(places.agentKey('my-agent')))) {
        await writeAgentKey('my-agent', {
          privateKey: places.agentKey('my-agent'),
          publicKeys: loaded.resolvePath('agents/my-agent.jwks.json'),
        });
      }
      await writePolicySchema(places.policies, buildEstate(loaded.config));
      output.result({ folder: root, written, owner: answerable, profile: strictness }, () =>
        [
          `Written to ${root}: ${written.join(', ')}, agents/my-agent.jwks.json, and keys in ${loaded.config.data}/.`,
          `Owner of the agent and the connector: ${answerable}. Policies: ${strictness}.`,
          '',
          'Next:',
          '  remit up                          # serve on loopback',
          '  remit connect --agent my-agent    # a stdio MCP server for any client',
        ].join('\n'),
      );
    },
  );
}

/** Keys and the journal must not be committed by accident. */
async function writeIgnoreFile(data: string): Promise<void> {
  const path = join(data, '.gitignore');
  const current = await readFile(path, 'utf8').catch(() => undefined);
  if (current === undefined) await writeFile(path, '*\n');
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
