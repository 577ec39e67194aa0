import type { Command } from 'commander';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { callAdmin } from '../admin-client.ts';
import { type Common, command } from '../command.ts';

export function addReloadCommand(group: Command): void {
  command<Common>(
    group,
    'reload',
    'validate the policies, run their cases, and put them in force in the running gateway',
    (c) => c,
    async (output, options) => {
      const { socket } = placesOf(await loadConfig(options.config));
      const { from, to, policies, cases } = await callAdmin<{
        from: string;
        to: string;
        policies: number;
        cases: number;
      }>(socket, 'reload-policies');
      const isChanged = from !== to;
      output.result({ isChanged, from, to, policies, cases }, () =>
        isChanged
          ? `${policies} policies are in force: ${to} (${cases} cases hold). Before: ${from}`
          : `Nothing that decides has changed: ${to} stays in force (${cases} cases hold).`,
      );
    },
  );
}
