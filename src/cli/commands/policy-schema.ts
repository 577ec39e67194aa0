import type { Command } from 'commander';
import { buildEstate } from '../../compose/estate.ts';
import { writePolicySchema } from '../../compose/policies/policies.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { type Common, command } from '../command.ts';

export function addSchemaCommand(group: Command): void {
  command<Common>(
    group,
    'schema',
    'write the Cedar schema of the configuration beside the policies, for editors',
    (c) => c,
    async (output, options) => {
      const loaded = await loadConfig(options.config);
      const path = await writePolicySchema(placesOf(loaded).policies, buildEstate(loaded.config));
      output.result({ path }, () => `written: ${path}`);
    },
  );
}
