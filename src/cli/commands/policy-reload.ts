import type { Command } from 'commander';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { callEveryAdmin } from '../admin-client.ts';
import { type Common, command } from '../command.ts';

interface Reloaded {
  readonly from: string;
  readonly to: string;
  readonly policies: number;
  readonly cases: number;
}

export function addReloadCommand(group: Command): void {
  command<Common>(
    group,
    'reload',
    'validate the policies, run their cases, and put them in force in the running gateway',
    (c) => c,
    async (output, options) => {
      const { socket } = placesOf(await loadConfig(options.config));
      const answers = await callEveryAdmin<Reloaded>(socket, 'reload-policies');
      const changed = answers.find(({ from, to }) => from !== to);
      const { from, to, policies, cases } = changed ?? (answers[0] as Reloaded);
      const isChanged = from !== to;
      output.result({ isChanged, from, to, policies, cases }, () =>
        isChanged
          ? `${policies} policies are in force: ${to} (${cases} cases hold). Before: ${from}`
          : `Nothing that decides has changed: ${to} stays in force (${cases} cases hold).`,
      );
    },
  );
}
