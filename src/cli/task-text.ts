import type { TaskComparison } from '../compose/explain/compare-task.ts';
import { labelsText } from '../compose/explain/explain-call.ts';
import { userKey } from '../domain/principal.ts';
import { lineText, table } from './output.ts';

/** Declared and observed side by side, a line for each pair; then what else the task did. */
export function comparisonText({ seen, template, bounds }: TaskComparison): string {
  const { task, cameFrom, state, labels, outward, deviations, approvals, leases, unknownItems, listings } = seen;
  const rows = bounds.flatMap(({ bound, declared, observed, unused }) => {
    const length = Math.max(1, declared.length, observed.length, unused.length);
    return Array.from({ length }, (_, index) => [
      index === 0 ? bound : '',
      declared[index] ?? (index === 0 ? '-' : ''),
      observed[index] ?? (index === 0 ? '-' : ''),
      unused[index] ?? '',
    ]);
  });
  const owner = template === undefined ? 'which exists no more' : `owned by ${template.owner}`;
  return [
    lineText(`${task.id}  ${state}`),
    lineText(
      `  agent ${task.agent}${task.user === undefined ? '' : ` for ${userKey(task.user)}`}, template ${task.template}, ${owner}`,
    ),
    ...(cameFrom === undefined
      ? []
      : [lineText(`  at node ${cameFrom} before: what it did there stands in that journal; give it with --journal`)]),
    '',
    table(['BOUND', 'DECLARED', 'OBSERVED', 'NEVER USED'], rows, ''),
    '',
    lineText(
      `  read        ${labelsText(labels)}; ${outward} calls reached outside; ${listings} listings${unknownItems > 0 ? `; ${unknownItems} calls for what there is not` : ''}`,
    ),
    lineText(
      `  deviations  ${deviations.map(({ what, consequence }) => `${what} (${consequence})`).join('; ') || 'none'}`,
    ),
    lineText(
      `  approvals   ${approvals.map(({ approval, verdict, end }) => `${approval}: ${verdict}, ${end}`).join('; ') || 'none'}`,
    ),
    lineText(
      `  credentials ${leases.map(({ lease, connector, scope, end }) => [lease, connector, scope, end ?? 'live'].filter(Boolean).join(' ')).join('; ') || 'none'}`,
    ),
  ].join('\n');
}
