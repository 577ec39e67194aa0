import type { Command } from 'commander';
import { type Common, command } from '../command.ts';
import { orderAndTell, readReason } from '../order.ts';

type WithReason = Common & { readonly reason?: string };

/** `suspend` and `resume` of a kind of subject: `remit task suspend …`, `remit agent …`, `remit connector …`. */
export function addSuspensionCommands(group: Command, kind: 'task' | 'agent' | 'connector', what: string): void {
  const argument = kind === 'task' ? '<task>' : '<name>';
  command<WithReason>(
    group,
    `suspend ${argument}`,
    `${what}; \`${kind} resume\` takes it back`,
    (c) => c.option('-r, --reason <text>', 'why; goes on the trail (required)'),
    (output, options, [id = '']) =>
      orderAndTell(output, options, { action: 'suspend', subject: { kind, id }, reason: readReason(options.reason) }),
  );
  command<WithReason>(
    group,
    `resume ${argument}`,
    `take back a suspension${kind === 'task' ? '' : ' or a kill'}`,
    (c) => c.option('-r, --reason <text>', 'why; goes on the trail'),
    (output, options, [id = '']) =>
      orderAndTell(output, options, { action: 'resume', subject: { kind, id }, reason: options.reason ?? '' }),
  );
}
