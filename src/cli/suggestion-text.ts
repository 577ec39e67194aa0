import type { Estate } from '../compose/estate.ts';
import type { Suggestion } from '../compose/explain/suggest.ts';
import type { PolicySource } from '../compose/policies/read-in-force.ts';
import type { TemplateId } from '../domain/ids.ts';
import type { NarrowedTemplate } from '../policy/template-use.ts';
import { colours, lineText, table } from './output.ts';
import { sourceText } from './policy-source-text.ts';

/** For people: granted beside used, then Cedar text and a diff of the templates, to be taken over by hand. */
export function suggestionText(
  suggestion: Suggestion,
  estate: Estate,
  source: PolicySource,
  out: string | undefined,
): string {
  const { since, until, calls, notReplayed, agents, policies, templates, overPrivileged } = suggestion;
  const from = sourceText(source);
  const lines = [
    `${since} to ${until}: ${calls} calls permitted or held${notReplayed === 0 ? '' : `; ${notReplayed} of them could not be replayed, and count as use of whatever might have permitted them`}`,
    `${Math.round(overPrivileged * 100)} % of agents are granted more than they used`,
    ...(from === undefined ? [] : [lineText(`policies: ${from}`)]),
    '',
    table(
      ['AGENT', 'GRANTED', 'USED', 'RATIO', 'NEVER USED'],
      agents.map(({ agent, granted, used, ratio, unused }) => [
        agent,
        String(granted),
        String(used),
        ratio.toFixed(2),
        listText(unused),
      ]),
      'No agent.',
    ),
  ];
  const changed = policies.filter(({ change }) => change !== 'kept');
  if (changed.length > 0) lines.push('', ...changed.flatMap(policyLines));
  const diffs = templates.flatMap((template) => templateDiff(template, estate));
  if (diffs.length > 0) lines.push('', ...diffs);
  if (changed.length === 0 && diffs.length === 0) lines.push('', 'Nothing to take away: what is granted is used.');
  lines.push(
    '',
    out === undefined
      ? 'Nothing is applied. `--out FOLDER` writes all of it there.'
      : `Nothing is applied. Look at it, then: remit policy simulate ${out}/policies --new-config ${out}/remit.yaml --since ${since}`,
  );
  return lines.join('\n');
}

const MOST_LISTED = 6;

const listText = (names: readonly string[]): string =>
  names.length <= MOST_LISTED
    ? names.join(', ')
    : `${names.slice(0, MOST_LISTED).join(', ')} and ${names.length - MOST_LISTED} more`;

function policyLines({ id, file, line, change, granted, used, text = '' }: Suggestion['policies'][number]): string[] {
  const place = lineText(
    `// ${id}, ${file}:${line}: ${change === 'unused' ? 'nothing needed it' : `${used} of ${granted} were used`}`,
  );
  return [
    change === 'unused' ? colours.red(`${place}; leave it out`) : colours.yellow(place),
    ...text.split('\n').map(lineText),
    '',
  ];
}

function templateDiff(template: NarrowedTemplate, estate: Estate): string[] {
  const { template: id, owner, tasks, change, declaredOnly } = template;
  if (change === 'unused') return [lineText(`template ${id} (${owner}): no task was under it`)];
  const now = estate.templates.get(id as TemplateId);
  if (change === 'kept' || now === undefined) return [];
  const { bounds } = now;
  const rows: readonly [string, unknown, unknown][] = [
    ['agents', now.agents, template.agents],
    ['classes', bounds.actionClasses, template.classes],
    ['tools', bounds.tools, template.tools],
    ['calls', bounds.calls, template.calls],
    ['maxDurationSeconds', now.maxDurationSeconds, template.maxDurationSeconds],
  ];
  return [
    lineText(`template ${id} (${owner}), ${tasks} tasks`),
    ...rows.flatMap(([key, was, will]) =>
      will === undefined
        ? []
        : [
            colours.red(lineText(`-   ${key}: ${JSON.stringify(was)}`)),
            colours.green(lineText(`+   ${key}: ${JSON.stringify(will)}`)),
          ],
    ),
    ...(declaredOnly.length === 0
      ? []
      : [lineText(`    declared by tasks and never called, so kept: ${declaredOnly.join(', ')}`)]),
  ];
}
