import type { Command } from 'commander';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { callAdmin } from '../admin-client.ts';
import { type Common, command } from '../program.ts';

export function addKeysCommands(program: Command): void {
  const group = program.command('keys').description('the keys that sign task tokens');
  command<Common>(
    group,
    'rotate',
    'sign with a new key from now on; tokens signed with the old one stay good until they expire',
    (c) => c,
    async (output, options) => {
      const { socket } = placesOf(await loadConfig(options.config));
      const { keys } = await callAdmin<{ keys: string[] }>(socket, 'rotate-keys');
      output.result({ keys }, () => `signing with ${keys[0]}; still verifying: ${keys.slice(1).join(', ') || 'none'}`);
    },
  );
}
