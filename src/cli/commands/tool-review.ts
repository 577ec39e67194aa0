import type { Command } from 'commander';
import { seenItems } from '../../compose/connectors/seen-items.ts';
import { credentialFindings } from '../../compose/credentials/credential-findings.ts';
import { RemitError } from '../../domain/errors.ts';
import { definitionFindings } from '../../inventory/definition-findings.ts';
import { diffDefinition } from '../../inventory/diff-definition.ts';
import { inspectDefinition } from '../../inventory/inspect-definition.ts';
import { type Common, command } from '../command.ts';
import { table } from '../output.ts';
import { withWorkspace } from '../with-workspace.ts';

/** What an approver needs before approving again: what changed, and what is wrong. */
export function addToolReviewCommands(group: Command): void {
  command<Common>(
    group,
    'diff <target>',
    'show what changed in a connector/tool since it was approved, and what it would mean',
    (c) => c,
    async (output, options, [target = '']) => {
      await withWorkspace(options, async (workspace) => {
        const item = (await seenItems(workspace)).find(({ ref }) => ref === target);
        if (item === undefined) {
          throw new RemitError('ERR_NOT_FOUND', `${target} has not been seen`, {
            hint: '`remit tool ls` shows what there is.',
          });
        }
        const { status, approved, definition } = item;
        const changes = approved === undefined ? [] : diffDefinition(approved, definition);
        const flags = inspectDefinition(definition);
        output.result({ tool: target, status, approved: approved !== undefined, changes, flags }, () =>
          [
            `${target} is ${status}.`,
            approved === undefined
              ? 'No approved definition is known: `remit tool describe` shows the present one.'
              : table(
                  ['MEANING', 'AT', 'BEFORE', 'AFTER'],
                  changes.map(({ meaning, at, before, after }) => [meaning, at, before ?? '-', after ?? '-']),
                  'It is as it was approved.',
                ),
            ...flags.map(({ kind, at, detail }) => `${kind} at ${at || 'the top'}: ${detail}`),
            ...(changes.length === 0
              ? []
              : [`To approve it as it is now: remit tool describe ${target} --approve --by WHO`]),
          ].join('\n'),
        );
      });
    },
  );

  command<Common>(
    group,
    'findings',
    'list what is wrong with definitions (changed, hiding characters, shadowing one another) and with how connectors get credentials',
    (c) => c,
    async (output, options) => {
      await withWorkspace(options, async (workspace) => {
        const ofCredentials = [...workspace.estate.connectors.values()].flatMap(({ id, config }) =>
          credentialFindings(config).map(({ kind, severity, what }) => ({ kind, severity, refs: [id], text: what })),
        );
        const findings = [...ofCredentials, ...definitionFindings(await seenItems(workspace))];
        output.result(findings, () =>
          table(
            ['SEVERITY', 'FINDING', 'WHERE', 'WHAT'],
            findings.map(({ severity, kind, refs, text }) => [severity, kind, refs.join(', '), text]),
            'Nothing is wrong with the definitions that have been seen.',
          ),
        );
      });
    },
  );
}
