import type { Command } from 'commander';
import type { ApprovalView } from '../../approvals/view-approval.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { RemitError } from '../../domain/errors.ts';
import { callAdmin } from '../admin-client.ts';
import { type Common, command, readCount } from '../command.ts';
import { readReason } from '../order.ts';
import { jsonText, lineText, table } from '../output.ts';

type Listed = Pick<
  ApprovalView,
  'id' | 'state' | 'tool' | 'agent' | 'user' | 'task' | 'reason' | 'requestedAt' | 'expiresAt'
>;

async function ask<T>(options: Common, operation: string, parameters: Readonly<Record<string, string>>): Promise<T> {
  const { socket } = placesOf(await loadConfig(options.config));
  return callAdmin<T>(socket, operation, parameters);
}

/** `remit approval …`, `remit approve` and `remit deny`: the inbox. All of it asks the running gateway. */
export function addApprovalCommands(program: Command): void {
  const group = program.command('approval').description('calls that wait for people');

  command<Common & { all: boolean; task?: string }>(
    group,
    'ls',
    'list approvals that are pending, or approved and not used up',
    (c) => c.option('--all', 'those that are over too', false).option('-t, --task <id>', 'of one task'),
    async (output, options) => {
      const { approvals } = await ask<{ approvals: Listed[] }>(options, 'approvals', {
        all: String(options.all),
        ...(options.task !== undefined && { task: options.task }),
      });
      output.result(approvals, () =>
        table(
          ['APPROVAL', 'STATE', 'TOOL', 'AGENT', 'USER', 'UNTIL', 'WHY'],
          approvals.map(({ id, state, tool, agent, user, expiresAt, reason }) => [
            id,
            state,
            tool,
            agent,
            user ?? '-',
            expiresAt,
            reason,
          ]),
          'Nothing waits. (`--all` shows what is over.)',
        ),
      );
    },
  );

  command<Common>(
    group,
    'show <approval>',
    'show what would be done: exact arguments, reach, labels, where values came from',
    (c) => c,
    async (output, options, [id = '']) => {
      const view = await ask<ApprovalView>(options, 'approval', { id });
      output.result(view, () => textOf(view));
    },
  );

  command<Common>(
    group,
    'link',
    'a link that signs a browser in, once, within ten minutes, as the account that runs the gateway',
    (c) => c,
    async (output, options) => {
      const link = await ask<{ url: string }>(options, 'approval-link', {});
      output.result(link, () => link.url);
    },
  );

  command<Common & { forTask: boolean; limit?: string; reason?: string }>(
    program,
    'approve <approval>',
    'approve a call that waits, as the account that runs the gateway',
    (c) =>
      c
        .option('--for-task', 'the item, with any arguments, for the rest of the task', false)
        .option('--limit <n>', 'with --for-task: so many calls')
        .option('-r, --reason <text>', 'why; goes on the trail'),
    async (output, options, [id = '']) => {
      const view = await ask<ApprovalView>(options, 'approve', {
        id,
        uses: String(usesOf(options)),
        reason: options.reason ?? '',
      });
      output.result(view, () => verdictText(view));
    },
  );

  command<Common & { reason?: string }>(
    program,
    'deny <approval>',
    'deny a call that waits; the same call is not asked about again until this approval would have expired',
    (c) => c.option('-r, --reason <text>', 'why; the agent is told, and it goes on the trail (required)'),
    async (output, options, [id = '']) => {
      const view = await ask<ApprovalView>(options, 'deny', { id, reason: readReason(options.reason) });
      output.result(view, () => verdictText(view));
    },
  );
}

/** @throws `ERR_USAGE` */
function usesOf({ forTask, limit }: { readonly forTask: boolean; readonly limit?: string }): number {
  if (forTask && limit !== undefined) return readCount('--limit', limit);
  if (!forTask && limit === undefined) return 0;
  throw new RemitError('ERR_USAGE', '--for-task and --limit go together', {
    hint: 'An approval for a task always has a limit: --for-task --limit 5.',
  });
}

function verdictText({ id, state, needs, usesLeft, scope }: ApprovalView): string {
  if (state !== 'pending') return `${id} is ${state}${scope === 'task' ? `, for ${usesLeft} calls of the task` : ''}`;
  const open = needs.filter(({ have, count }) => have < count);
  return [`${id} needs more people:`, ...open.map(({ by, have, count }) => `  ${by}: ${have} of ${count}`)].join('\n');
}

function textOf(view: ApprovalView): string {
  const { reach } = view;
  const rows: (readonly [string, string])[] = [
    ['approval', `${view.id} (${view.state}${view.endReason === undefined ? '' : `: ${lineText(view.endReason)}`})`],
    ['until', view.expiresAt],
    ['agent', `${view.agent}, owned by ${lineText(view.agentOwner)}; ${lineText(view.workload)}`],
    ['user', lineText(view.user ?? 'none: the agent acts on its own')],
    ['task', `${view.task}: ${lineText(view.purpose ?? '')}`],
    ['call', `${view.method} ${lineText(view.tool)}`],
    ['arguments', argumentsText(view)],
    ['held by', `${view.policies.map(lineText).join(', ')}: ${lineText(view.reason)}`],
    [
      'reach',
      `${reach.actionClass}, ${reach.isReversible ? 'reversible' : 'not reversible'}; ${lineText(reach.environment)}, zone ${lineText(reach.zone)}, owned by ${lineText(reach.connectorOwner)}; credential ${reach.credential}`,
    ],
    ['data', [...reach.dataClasses, ...reach.resources].map(lineText).join(', ') || '-'],
    ['labels', view.labels.map(lineText).join(', ') || '-'],
    ...view.provenance.map(
      ({ argument, from, isTrusted }) =>
        ['value of', `${lineText(argument)}: ${lineText(from)}${isTrusted ? '' : ' (not trusted)'}`] as const,
    ),
    ...view.needs.map(
      ({ by, have, count, approvers, barred }) =>
        [
          'needs',
          `${lineText(by)}: ${have} of ${count} from ${approvers.join(' or ') || 'approvals.approvers'}${barred.length > 0 ? `, not the task’s ${barred.join(' or the agent’s ')}` : ''}`,
        ] as const,
    ),
    ...view.verdicts.map(
      ({ approver, via, verdict, reason, at }) =>
        ['verdict', `${verdict} by ${lineText(approver)} (${via}) at ${at} ${lineText(reason)}`] as const,
    ),
  ];
  return rows.map(([name, value]) => `${name.padEnd(10)} ${value}`).join('\n');
}

/** As they would be sent, a member a line; nothing in them can break out of its line. */
function argumentsText({ arguments: text }: ApprovalView): string {
  if (text === undefined) return 'kept no longer here; the trail has them (`remit audit show`)';
  return jsonText(JSON.parse(text), 2).replaceAll('\n', `\n${' '.repeat(11)}`);
}
