import type { Story, StoryStep } from '../audit/tell-story.ts';
import type { AuditRecord } from '../domain/record.ts';
import { colours, lineText } from './output.ts';

/** Members of a detail that tell most, in this order. */
const TOLD = [
  'verdict',
  'status',
  'outcome',
  'gate',
  'policies',
  'reason',
  'scope',
  'state',
  'action',
  'from',
  'by',
  'digest',
  'prompt',
  'source',
  'durationMs',
  'shown',
  'revocation',
  'expiresAt',
  'expires',
];

/** One record on one line. */
export function recordLine(record: AuditRecord): string {
  const { seq, time, type, agent, user, tool, task, span } = record;
  const who = [agent, user && `for ${user}`].filter(Boolean).join(' ');
  return lineText(
    [`#${seq}`, time, type.padEnd(19), who, tool ?? record.connector ?? '', task ?? '', span ?? '', ...told(record)]
      .filter((part) => part !== '')
      .join('  '),
  );
}

/** A story for people: who, then what, step by step, with times counted from the subject's own first record. */
export function storyText(story: Story): string {
  const { subject, human, machine, task, trace, purpose, start, steps, omitted } = story;
  const { agent, actors, workload } = machine;
  const name = Object.values(subject)[1] as string;
  const half = omitted > 0 ? Math.floor(steps.length / 2) : steps.length;
  const lines = [
    `${subject.kind} ${name}, ${start}`,
    `  human    ${human ?? 'nobody: the agent acted on its own'}`,
    `  machine  ${[agent ?? 'the gateway', ...actors.map((actor) => `through ${actor}`), workload].filter(Boolean).join(', ')}`,
    ...(task === undefined ? [] : [`  task     ${task}${purpose === undefined ? '' : `: ${purpose}`}`]),
    ...(trace === undefined ? [] : [`  trace    ${trace}`]),
  ].map(lineText);
  return [
    ...lines,
    '',
    ...steps.slice(0, half).map(stepLine),
    ...(omitted > 0
      ? [colours.dim(`… ${omitted} more, left out here: \`remit audit export --task ${task ?? ''}\` has them all`)]
      : []),
    ...steps.slice(half).map(stepLine),
  ].join('\n');
}

function stepLine({ afterMs, step, record }: StoryStep): string {
  const after = `${afterMs < 0 ? '-' : '+'}${(Math.abs(afterMs) / 1000).toFixed(3)} s`;
  const { type, tool, connector, lease, seq } = record;
  const parts = [type, tool ?? connector ?? '', lease ?? '', ...told(record), `#${seq}`];
  return `${after.padStart(12)}  ${step.padEnd(10)}  ${lineText(parts.filter((part) => part !== '').join('  '))}`;
}

function told({ detail }: AuditRecord): string[] {
  return TOLD.filter((name) => detail[name] !== undefined && String(detail[name]) !== '').map((name) => {
    const value = detail[name];
    return `${name}=${Array.isArray(value) ? value.slice(0, 8).join('+') + (value.length > 8 ? '+…' : '') : String(value)}`;
  });
}
