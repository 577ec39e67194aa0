import type { Command } from 'commander';
import { buildEstate } from '../../compose/estate.ts';
import { folderVersion } from '../../compose/policies/policies.ts';
import { policyVersions } from '../../compose/policies/policy-versions.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { messageOf } from '../../domain/errors.ts';
import { type Common, command } from '../command.ts';
import { table } from '../output.ts';

export function addVersionsCommand(group: Command): void {
  command<Common>(
    group,
    'versions',
    'list the versions of the policies that were put in force, from the trail, and say what the folder holds',
    (c) => c,
    async (output, options) => {
      const loaded = await loadConfig(options.config);
      const { journal, policies } = placesOf(loaded);
      const versions = await policyVersions(journal);
      const folder = await folderVersion(policies, buildEstate(loaded.config)).catch((error: unknown) => ({
        problem: messageOf(error),
      }));
      const last = versions.at(-1)?.version;
      output.result({ versions, folder }, () =>
        [
          table(
            ['VERSION', 'SINCE', 'BY', 'FILES'],
            versions.map(({ version, since, how, by, files }) => [
              version,
              since,
              how === 'start' ? 'start' : (by ?? '-'),
              files.map(({ file }) => file).join(', ') || '-',
            ]),
            'No gateway has started here yet.',
          ),
          typeof folder !== 'string'
            ? `The folder is not valid: ${folder.problem}`
            : folder === last
              ? 'The folder holds the last one.'
              : `The folder holds another: ${folder}. \`remit policy reload\` puts it in force${loaded.config.store.kind === 'postgres' ? ' at all nodes' : ''}.`,
        ].join('\n'),
      );
    },
  );
}
