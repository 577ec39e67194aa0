import type { Command } from 'commander';
import { reachOf } from '../../compose/connectors/reach.ts';
import { RemitError } from '../../domain/errors.ts';
import { type Common, command } from '../command.ts';
import { reachText } from '../reach-text.ts';
import { recordChange } from '../record-change.ts';
import { withWorkspace } from '../with-workspace.ts';
import { editConfig, writeConfig } from '../write-config.ts';

/** What an approver of a connector sees and says: of all that is reachable, not of one connection. */
export function addReachCommands(group: Command): void {
  command<Common>(
    group,
    'reach <name>',
    'show all that is reachable through a connector: its items, who and what beside it, what can be chained, where data can come to',
    (c) => c,
    async (output, options, [name = '']) => {
      await withWorkspace(options, async ({ estate, store }) => {
        const reach = await reachOf(name, estate, store);
        output.result(reach, () => reachText(reach));
      });
    },
  );

  command<Common & { by: string; reach: string }>(
    group,
    'review <name>',
    'approve what is reachable through a connector, as `reach` has shown it',
    (c) =>
      c
        .requiredOption('--by <who>', 'who approves')
        .requiredOption('--reach <digest>', 'the last lines of `remit connector reach` name it'),
    async (output, options, [name = '']) => {
      await withWorkspace(options, async (workspace) => {
        const { estate, store, loaded, system } = workspace;
        const { digest, items, templates, chains, onward } = await reachOf(name, estate, store);
        if (digest !== options.reach) {
          throw new RemitError('ERR_USAGE', `what is reachable through ${name} is not what you name: it is ${digest}`, {
            where: `connectors.${name}`,
            hint: `Look at it again: \`remit connector reach ${name}\`.`,
          });
        }
        const reviewed = { by: options.by, at: new Date(system.clock()).toISOString(), reach: digest };
        const edited = await editConfig(loaded.path, (document) =>
          document.setIn(['connectors', name, 'reviewed'], document.createNode(reviewed)),
        );
        await recordChange(workspace, {
          action: 'connector_review',
          connector: name,
          approvedBy: options.by,
          reach: digest,
          items: items.length,
          templates: templates.map(({ template }) => template),
          chains: chains.length,
          onward: onward.map(({ connector }) => connector),
        });
        await writeConfig(loaded.path, edited);
        output.result({ connector: name, ...reviewed }, () => `${name}: reviewed by ${options.by}, in ${loaded.path}.`);
      });
    },
  );
}
