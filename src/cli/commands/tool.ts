import type { Command } from 'commander';
import { reachOf } from '../../compose/connectors/reach.ts';
import { buildEstate } from '../../compose/estate.ts';
import type { Workspace } from '../../compose/workspace.ts';
import { isRemitError, RemitError } from '../../domain/errors.ts';
import type { ConnectorId } from '../../domain/ids.ts';
import { isMisleadingName } from '../../domain/tool.ts';
import { type ProposedProfile, proposeProfile, proposePromptProfile } from '../../inventory/propose-profile.ts';
import type { InventoryTool } from '../../seams/store.ts';
import { callEveryAdmin } from '../admin-client.ts';
import { type Common, command } from '../command.ts';
import { table } from '../output.ts';
import { reachText } from '../reach-text.ts';
import { recordChange } from '../record-change.ts';
import { withWorkspace } from '../with-workspace.ts';
import { type EditedConfig, editConfig, writeConfig } from '../write-config.ts';
import { addToolReviewCommands } from './tool-review.ts';

export function addToolCommands(program: Command): void {
  const group = program.command('tool').description('tools of connectors, and their profiles');

  command<Common>(
    group,
    'ls [connector]',
    'list the tools that connectors have shown, described or not',
    (c) => c,
    async (output, options, [connector]) => {
      await withWorkspace(options, async (workspace) => {
        const tools = await seenTools(workspace, connector);
        output.result(tools, () =>
          table(
            ['TOOL', 'STATUS', 'CLASS', 'APPROVED BY', 'FIRST SEEN'],
            tools.map((tool) => [
              `${tool.connector}/${tool.name}`,
              tool.status,
              tool.actionClass ?? '-',
              tool.approvedBy ?? '-',
              new Date(tool.firstSeenAt).toISOString(),
            ]),
            'No tool has been seen. Start the gateway once: `remit up`.',
          ),
        );
      });
    },
  );

  command<Common & { all: boolean; approve: boolean; by?: string }>(
    group,
    'describe <target>',
    'propose profiles for a connector/tool or connector/prompt:name, or with --all for every undescribed tool of a connector',
    (c) =>
      c
        .option('--all', 'the target is a connector: all its tools without a profile', false)
        .option(
          '--approve',
          'write the proposal into the configuration: they become callable where templates and policies allow',
          false,
        )
        .option('--by <who>', 'with --approve: who approves'),
    async (output, options, [target = '']) => {
      await withWorkspace(options, async (workspace) => {
        const proposals = await propose(workspace, target, options.all);
        const edited = await withProfiles(workspace, proposals, options.by ?? 'nobody');
        // Who approves sees what would be reachable through the connector then, and not these items alone (R72).
        const [{ connector = '' } = {}] = proposals;
        const reach = await reachOf(connector, buildEstate(edited.config), workspace.store);
        if (!options.approve) {
          output.result(proposals, () => `${proposalText(proposals)}\n${asComment(reachText(reach))}`);
          return;
        }
        if (options.by === undefined) {
          throw new RemitError('ERR_USAGE', 'an approval needs a name', {
            hint: 'Add --by WHO; read the proposal first, without --approve.',
          });
        }
        await recordChange(workspace, {
          action: 'profiles_approve',
          connector,
          tools: proposals.map((proposal) => proposal.tool),
          approvedBy: options.by,
          reach: reach.digest,
        });
        await writeConfig(workspace.loaded.path, edited);
        output.result(
          { approved: proposals.map((proposal) => proposal.tool), by: options.by, config: workspace.loaded.path },
          () =>
            `${proposals.length} profiles approved by ${options.by} in ${workspace.loaded.path}. The gateway takes them up at its next start.\n\n${reachText(reach)}`,
        );
      });
    },
  );

  addToolReviewCommands(group);
}

interface Proposal extends ProposedProfile {
  readonly connector: string;
  readonly tool: string;
  /** What the server says of it: for the approver to read, and not to be believed. */
  readonly description: string;
}

async function propose(workspace: Workspace, target: string, isAll: boolean): Promise<Proposal[]> {
  const [connector = '', ...rest] = target.split('/');
  const name = rest.join('/');
  if (workspace.config.connectors[connector] === undefined || (isAll ? name !== '' : name === '')) {
    throw new RemitError(
      'ERR_USAGE',
      `${target} is no ${isAll ? 'connector' : 'connector/tool'} of the configuration`,
      {
        where: workspace.loaded.path,
        hint: `Connectors: ${Object.keys(workspace.config.connectors).join(', ') || 'none'}. Use \`describe --all CONNECTOR\` or \`describe CONNECTOR/TOOL\`.`,
      },
    );
  }
  // A running gateway lists the connector anew; without one, what earlier runs saw is used.
  await callEveryAdmin(workspace.places.socket, 'refresh', { connector }).catch((error: unknown) => {
    if (isRemitError(error, 'ERR_GATEWAY_UNREACHABLE')) return;
    if (!isRemitError(error) || error.hint !== undefined) throw error;
    throw new RemitError(error.code, error.message, {
      where: error.where ?? `connectors.${connector}`,
      hint: 'Check the command or URL of the connector; `remit doctor` says which do not answer.',
      cause: error,
    });
  });
  const seen = await seenTools(workspace, connector);
  if (name.startsWith('resource:')) {
    throw new RemitError('ERR_USAGE', `${target} is a resource: it is described by a URI pattern of yours`, {
      where: `connectors.${connector}.resources`,
      hint: 'Write the pattern and its profile into the configuration; `remit tool ls` shows the templates that servers list.',
    });
  }
  const chosen = seen.filter((tool) =>
    isAll ? tool.status !== 'described' && !isMisleadingName(tool.name) : tool.name === name,
  );
  if (chosen.length === 0) {
    throw new RemitError(
      'ERR_NOT_FOUND',
      isAll && seen.length > 0 ? `every tool of ${connector} is described` : `${target} has not been seen`,
      {
        hint: 'Start the gateway with the connector configured (`remit up`), then run this again; `remit tool ls` shows what there is.',
      },
    );
  }
  const propose = name.startsWith('prompt:') ? proposePromptProfile : proposeProfile;
  return chosen.map((tool) => ({
    connector,
    tool: tool.name,
    description: String((tool.definition as Record<string, unknown>).description ?? ''),
    ...propose({
      connector: connector as ConnectorId,
      name: tool.name,
      description: '',
      raw: tool.definition as Readonly<Record<string, unknown>>,
      fingerprint: tool.fingerprint,
    }),
  }));
}

/** Where a profile stands in the configuration, below `connectors`. */
function placeOf({ connector, tool }: Proposal): [connector: string, list: string, name: string] {
  const prompt = /^prompt:(.*)$/s.exec(tool)?.[1];
  return prompt === undefined ? [connector, 'tools', tool] : [connector, 'prompts', prompt];
}

const asComment = (text: string): string => text.replace(/^/gm, '# ');

function proposalText(proposals: readonly Proposal[]): string {
  const place = proposals[0] && placeOf(proposals[0]).slice(0, 2).join('.');
  const lines = [`# Proposed for connectors.${place}; read each line, then run this again with --approve --by WHO.`];
  for (const proposal of proposals) {
    const args = Object.entries(proposal.arguments).map(
      ([name, type]) => `${JSON.stringify(name)}: ${JSON.stringify(type)}`,
    );
    lines.push(
      `${JSON.stringify(placeOf(proposal)[2])}:  # class from: ${proposal.basis}`,
      `  # the server says: ${proposal.description.replace(/\s+/g, ' ').slice(0, 300)}`,
      `  class: ${proposal.class}`,
      `  arguments: { ${args.join(', ')} }`,
      `  reversible: ${proposal.reversible}`,
      ...Object.entries(proposal.flow ?? {}).map(([key, value]) => `  ${key}: ${JSON.stringify(value)}`),
      `  fingerprint: ${proposal.fingerprint}`,
    );
  }
  return lines.join('\n');
}

/** The configuration with these profiles in it. */
function withProfiles(workspace: Workspace, proposals: readonly Proposal[], by: string): Promise<EditedConfig> {
  return editConfig(workspace.loaded.path, (document) => {
    for (const proposal of proposals) {
      document.setIn(
        ['connectors', ...placeOf(proposal)],
        document.createNode({
          class: proposal.class,
          ...(Object.keys(proposal.arguments).length > 0 && { arguments: proposal.arguments }),
          ...(proposal.reversible && { reversible: true }),
          ...proposal.flow,
          approvedBy: by,
          fingerprint: proposal.fingerprint,
        }),
      );
    }
  });
}

async function seenTools(workspace: Workspace, connector: string | undefined): Promise<InventoryTool[]> {
  return workspace.store.inventory.tools(workspace.estate.tenant, connector);
}
