import type { Command } from 'commander';
import { buildEstate, type Estate } from '../../compose/estate.ts';
import { folderVersion } from '../../compose/policies/policies.ts';
import { policyVersions } from '../../compose/policies/policy-versions.ts';
import { type PolicySource, policiesNow } from '../../compose/policies/read-in-force.ts';
import { placesOf } from '../../compose/workspace.ts';
import { type LoadedConfig, loadConfig } from '../../config/load-config.ts';
import { messageOf } from '../../domain/errors.ts';
import { type Common, command } from '../command.ts';
import { lineText, table } from '../output.ts';
import { openSource } from '../policy-source.ts';
import { problemText, type SourceProblem, sourceProblem } from '../policy-source-text.ts';

/** What is in force by the store, where gateways share that. */
type InForce = (PolicySource & { readonly version: string }) | { readonly problem: SourceProblem };

export function addVersionsCommand(group: Command): void {
  command<Common>(
    group,
    'versions',
    'list the versions of the policies that were put in force, from the trail, and say what is in force in the store and what the folder holds',
    (c) => c,
    async (output, options) => {
      const loaded = await loadConfig(options.config);
      const { journal, policies } = placesOf(loaded);
      const estate = buildEstate(loaded.config);
      const versions = await policyVersions(journal);
      const folder = await folderVersion(policies, estate).catch((error: unknown) => ({
        problem: messageOf(error),
      }));
      const inForce = await sharedNow(options, loaded, estate);
      const last = versions.at(-1)?.version;
      output.result({ versions, folder, ...(inForce !== undefined && { inForce }) }, () =>
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
          ...(inForce === undefined ? [] : [lineText(inForceText(inForce, last))]),
          folderText(folder, inForce, last),
        ].join('\n'),
      );
    },
  );
}

/** Undefined where the trail is all that is known of it: one gateway alone, or none that has started yet. */
async function sharedNow(options: Common, loaded: LoadedConfig, estate: Estate): Promise<InForce | undefined> {
  if (loaded.config.store.kind !== 'postgres') return undefined;
  try {
    const sourced = await openSource(options, loaded);
    if (sourced.source.isBeforeFirst) return undefined;
    return { ...sourced.source, version: policiesNow(sourced, estate).version };
  } catch (error) {
    return { problem: sourceProblem(error) };
  }
}

function inForceText(inForce: InForce, last: string | undefined): string {
  if ('problem' in inForce) return `It could not be read which are in force: ${problemText(inForce.problem)}`;
  const { version, by } = inForce;
  const behind =
    last === undefined || last === version
      ? ''
      : '; the last of this trail is another: a node takes up what is in force when it starts, and one that runs and cannot says why on its trail (`policy_reload_refused`)';
  return `In force at the nodes of the store: ${version}, by ${by}${behind}.`;
}

function folderText(
  folder: string | { readonly problem: string },
  inForce: InForce | undefined,
  last: string | undefined,
): string {
  if (typeof folder !== 'string') return `The folder is not valid: ${folder.problem}`;
  if (inForce === undefined) {
    return folder === last
      ? 'The folder holds the last one.'
      : `The folder holds another: ${folder}. \`remit policy reload\` puts it in force.`;
  }
  if ('problem' in inForce) return `The folder holds ${folder}.`;
  if (folder === inForce.version) return 'The folder holds the one in force.';
  return `The folder holds another: ${folder}. \`remit policy reload\` puts it in force at all nodes; \`remit policy export FOLDER\` writes the one in force.`;
}
