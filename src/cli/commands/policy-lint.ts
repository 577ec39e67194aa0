import { resolve } from 'node:path';
import type { Command } from 'commander';
import { buildEstate } from '../../compose/estate.ts';
import { lintFolder } from '../../compose/policies/policies.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { RemitError } from '../../domain/errors.ts';
import { type Common, command } from '../command.ts';
import { table } from '../output.ts';

const SEVERITIES = ['high', 'medium', 'low', 'never'] as const;
/** Exit code where something was found that is as grave as --fail-on says. */
const FOUND = 1;

export function addLintCommand(group: Command): void {
  command<Common & { failOn: string }>(
    group,
    'lint [folder]',
    'find conflicts, policies that can never matter, and rules that are too broad, over all that is registered; needs no running gateway',
    (c) => c.option('--fail-on <severity>', 'exit with 1 from which severity on: high, medium, low or never', 'high'),
    async (output, options, [folder]) => {
      const limit = SEVERITIES.indexOf(options.failOn as (typeof SEVERITIES)[number]);
      if (limit === -1)
        throw new RemitError('ERR_USAGE', `--fail-on takes a severity, not ${options.failOn}`, {
          hint: `One of ${SEVERITIES.join(', ')}.`,
        });
      const loaded = await loadConfig(options.config);
      const place = folder === undefined ? placesOf(loaded).policies : resolve(folder);
      const findings = await lintFolder(place, buildEstate(loaded.config));
      output.result(findings, () =>
        table(
          ['SEVERITY', 'FINDING', 'POLICY', 'AT', 'WHAT', 'NEXT'],
          findings.map(({ severity, id, policy, at, what, next }) => [severity, id, policy, at, what, next]),
          'Nothing was found.',
        ),
      );
      if (SEVERITIES[limit] === 'never') return;
      if (findings.some(({ severity }) => SEVERITIES.indexOf(severity) <= limit)) process.exitCode = FOUND;
    },
  );
}
