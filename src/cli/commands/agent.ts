import type { Command } from 'commander';
import { writeAgentKey } from '../../agent/agent-key.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { RemitError } from '../../domain/errors.ts';
import { type Common, command } from '../command.ts';
import { addSuspensionCommands } from './suspension.ts';

export function addAgentCommands(program: Command): void {
  const group = program.command('agent').description('agents and their keys');
  addSuspensionCommands(group, 'agent', 'its tasks are suspended, and it starts none');
  command<Common & { out?: string }>(
    group,
    'keygen <name>',
    'make a key pair for an agent named in the configuration',
    (c) => c.option('--out <file>', 'where the private key goes; left out: the data folder'),
    async (output, options, [name = '']) => {
      const loaded = await loadConfig(options.config);
      const agent = Object.hasOwn(loaded.config.agents, name) ? loaded.config.agents[name] : undefined;
      if (agent === undefined) {
        throw new RemitError('ERR_NOT_FOUND', `no agent is called ${name}`, {
          where: loaded.path,
          hint: `Add it under \`agents:\` with its owner and publicKeys; known: ${Object.keys(loaded.config.agents).join(', ') || 'none'}.`,
        });
      }
      const files = {
        privateKey: options.out ?? placesOf(loaded).agentKey(name),
        publicKeys: loaded.resolvePath(agent.publicKeys),
      };
      const { kid } = await writeAgentKey(name, files);
      output.result(
        { agent: name, kid, ...files },
        () =>
          `key ${kid} of ${name}\n  private (0600): ${files.privateKey}\n  public:         ${files.publicKeys}\nA running gateway takes it up at its next start.`,
      );
    },
  );
}
