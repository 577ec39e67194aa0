import type { TracedApproval } from '../audit/trace-call.ts';
import type { CallExplanation, ExplainedPolicy } from '../compose/explain/explain-call.ts';
import type { PolicySource } from '../compose/policies/read-in-force.ts';
import { colours, lineText } from './output.ts';
import { problemText, type SourceProblem, sourceText } from './policy-source-text.ts';
import { shortVersion } from './simulation-text.ts';

type Contents = Readonly<Record<string, string>> | undefined;

/** Where the policies are from that an explanation points at, or why there are none. */
export type LookedAt = PolicySource | { readonly problem: SourceProblem };

/** One document; records as they are on the trail are left to `remit audit show`. */
export function explanationJson(
  explanation: CallExplanation,
  contents: Contents,
  lookedAt: LookedAt,
): Record<string, unknown> {
  const { trace, item, template, ...rest } = explanation;
  const { record, task, sealed, ...told } = trace;
  const { seq, time, tool, connector, detail } = record;
  return {
    call: trace.span,
    seq,
    time,
    tool,
    connector,
    method: detail.method,
    effectOnBudget: detail.effect,
    purpose: detail.purpose,
    task: task && { ...task, started: timeText(task.startedAt), expires: timeText(task.expiresAt) },
    profile: item?.profile,
    template,
    ...told,
    ...rest,
    policiesLookedAt: lookedAt,
    sealed: sealed.length,
    ...(contents !== undefined && { contents }),
  };
}

/** For people: who, on what task, gate by gate, what came of it, and what would have to change. */
export function explanationText(explanation: CallExplanation, contents: Contents, lookedAt: LookedAt): string {
  const { trace, who, gates, policies, provenance, effect, change, template } = explanation;
  const { record, task, decisions, approvals, credential, outcome } = trace;
  const last = decisions.at(-1);
  const lines = [
    `${verdictWord(last?.verdict)} call ${trace.span}, ${record.time}, #${record.seq}`,
    row('what', [record.tool ?? 'an unknown item', String(record.detail.method ?? ''), who.workload].join('  ')),
    row(
      'human',
      who.user === null
        ? 'nobody: the agent acted on its own'
        : [who.user, who.groups.length > 0 && `(${who.groups.join(', ')})`].filter(Boolean).join(' '),
    ),
    row('agent', [who.agent, ...who.actors.map((actor) => `through ${actor}`)].join(', ')),
  ];
  if (task !== undefined) {
    const { tools, actionClasses, calls } = task.bounds;
    lines.push(
      row('task', `${task.id}: ${task.purpose}`),
      row(
        '',
        `${tools.join(', ')}; ${actionClasses.join(', ')}; ${calls} calls; until ${timeText(task.expiresAt)}${trace.taskEnd === undefined ? '' : `; ended: ${trace.taskEnd}`}`,
      ),
      row(
        'template',
        template === undefined
          ? `${task.template}, which exists no more`
          : `${template.id}, owned by ${template.owner}: ${template.bounds.tools.join(', ')}; ${template.bounds.actionClasses.join(', ')} (as it is now)`,
      ),
    );
  }
  if (trace.prompt !== undefined) lines.push(row('prompt', trace.prompt));
  lines.push('', ...gates.map(({ gate, said, what }) => lineText(`  ${gate.padEnd(13)} ${said.padEnd(14)} ${what}`)));
  const version = shortVersion(last?.policyVersion ?? '');
  lines.push('', row('version', `${version || 'none'}${versionOfNow(explanation.isSameVersion, lookedAt)}`));
  const said = 'problem' in lookedAt ? `could not be read: ${problemText(lookedAt.problem)}` : sourceText(lookedAt);
  if (said !== undefined) lines.push(row('policies', said));
  lines.push(...policies.map((one) => policyLine(one, 'problem' in lookedAt)));
  lines.push(...provenance.map((one) => row('value', one)));
  lines.push(...approvals.flatMap(approvalLines));
  for (const decision of decisions.slice(1)) {
    lines.push(row('decided anew', `${decision.verdict}: ${decision.reason} (#${decision.seq})`));
  }
  if (credential !== undefined) {
    const { lease, issuer, scope, expiresAt, end } = credential;
    lines.push(
      row('credential', [lease, issuer, scope, expiresAt && `until ${expiresAt}`, end].filter(Boolean).join(', ')),
    );
  }
  if (outcome !== undefined) lines.push(row('outcome', String(outcome.status)));
  if (trace.deviation !== undefined)
    lines.push(
      row(
        'deviation',
        `${String(trace.deviation.count)} of ${String(trace.deviation.limit)}: ${String(trace.deviation.consequence)}`,
      ),
    );
  lines.push(row('effect', effect));
  if (contents !== undefined)
    lines.push('', ...Object.entries(contents).map(([seq, text]) => lineText(`#${seq}  ${text}`)));
  if (change.length > 0) {
    lines.push('', 'what would have to change:');
    for (const one of change)
      lines.push(...one.split('\n').map((line, index) => lineText(`${index === 0 ? '  - ' : '    '}${line}`)));
  }
  return lines.join('\n');
}

function versionOfNow(isSame: boolean | undefined, lookedAt: LookedAt): string {
  if (isSame === undefined || 'problem' in lookedAt) return '';
  if (lookedAt.from === 'store') return isSame ? ', as is in force now' : '; others are in force now';
  const folder = lookedAt.isNamed ? 'that folder' : 'the policies folder';
  return isSame ? `, as ${folder} has it` : `; ${folder} holds others`;
}

function verdictWord(verdict: string | undefined): string {
  if (verdict === 'permit') return colours.green('PERMITTED');
  return verdict === 'step_up' ? colours.yellow('HELD') : colours.red('DENIED');
}

const row = (name: string, value: string): string => lineText(`  ${name.padEnd(13)} ${value}`);

function policyLine({ id, at, effect }: ExplainedPolicy, isUnread: boolean): string {
  const gone = isUnread ? 'not looked at' : 'not among the policies of now';
  const own = id.startsWith('remit:') ? 'a rule of Remit' : gone;
  return row('policy', `${id}, ${at === undefined ? own : `${effect} at ${at}`}`);
}

function approvalLines({ id, askedAt, expires, verdicts, end }: TracedApproval): string[] {
  return [
    row(
      'approval',
      [id, `asked ${askedAt}`, expires && `until ${expires}`, end ?? 'waits, or may be used']
        .filter(Boolean)
        .join(', '),
    ),
    ...verdicts.map(({ verdict, by, time, reason }) =>
      row('', [`${verdict} by ${by}`, time, reason].filter(Boolean).join(', ')),
    ),
  ];
}

const timeText = (time: number): string => new Date(time).toISOString();
