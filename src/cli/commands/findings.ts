import type { Command } from 'commander';
import { estateFindings } from '../../compose/connectors/estate-findings.ts';
import { seenItems } from '../../compose/connectors/seen-items.ts';
import { definitionFindings } from '../../inventory/definition-findings.ts';
import { type Common, command } from '../command.ts';
import { table } from '../output.ts';
import { withWorkspace } from '../with-workspace.ts';

export function addFindingsCommand(program: Command): void {
  command<Common>(
    program,
    'findings',
    'list what is wrong and which risks remain: exceptions, shared and old secrets, keys, definitions',
    (c) => c,
    async (output, options) => {
      const findings = await withWorkspace(options, async (workspace) => [
        ...(await estateFindings(workspace)),
        ...definitionFindings(await seenItems(workspace)).map((finding) => ({
          ...finding,
          next: 'See `remit tool diff`.',
        })),
      ]);
      output.result(findings, () =>
        table(
          ['SEVERITY', 'FINDING', 'WHERE', 'OWNER', 'UNTIL', 'USES', 'WHAT', 'NEXT'],
          findings.map((finding) => {
            const {
              owner = '-',
              expires = '-',
              uses,
              opens,
            } = finding as Partial<Awaited<ReturnType<typeof estateFindings>>[number]>;
            return [
              finding.severity,
              finding.kind,
              finding.refs.join(', '),
              owner,
              expires,
              uses === undefined ? '-' : String(uses),
              opens === undefined ? finding.text : `${finding.text}; opens ${opens}`,
              finding.next,
            ];
          }),
          'Nothing is wrong.',
        ),
      );
    },
  );
}
