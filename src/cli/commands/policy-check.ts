import type { Command } from 'commander';
import { buildEstate } from '../../compose/estate.ts';
import { readPolicies } from '../../compose/policies/policies.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { type Common, command } from '../command.ts';
import { table } from '../output.ts';

export function addCheckCommand(group: Command): void {
  command<Common>(
    group,
    'check',
    'validate every policy strictly against the schema of the configuration; needs no running gateway',
    (c) => c,
    async (output, options) => {
      const loaded = await loadConfig(options.config);
      const { policies } = await readPolicies(placesOf(loaded).policies, buildEstate(loaded.config));
      const rows = policies.map(({ id, effect, file, line }) => ({ id, effect, at: `${file}:${line}` }));
      output.result(rows, () =>
        table(
          ['POLICY', 'EFFECT', 'AT'],
          rows.map((row) => [row.id, row.effect, row.at]),
          'Valid, but there is no policy: everything is denied.',
        ),
      );
    },
  );
}
