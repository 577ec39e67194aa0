import type { Command } from 'commander';
import { RemitError } from '../../domain/errors.ts';
import { ALL, type RevocationSubject } from '../../domain/revocation.ts';
import { type Common, command } from '../command.ts';
import { orderAndTell, readReason } from '../order.ts';

interface KillOptions extends Common {
  readonly all?: boolean;
  readonly agent?: string;
  readonly connector?: string;
  readonly task?: string;
  readonly lift?: boolean;
  readonly reason?: string;
}

export function addKillCommand(program: Command): void {
  command<KillOptions>(
    program,
    'kill',
    'the kill switch: ends tasks with all they hold, now and everywhere; with a gateway or without one',
    (c) =>
      c
        .option('--all', 'every task; no new one is started until --lift')
        .option('-a, --agent <name>', 'every task of an agent; it starts no new one until `agent resume`')
        .option('--connector <name>', 'a connector: not called again until `connector resume`')
        .option('-t, --task <id>', 'one task, and those below it')
        .option('--lift', 'take back --all: tasks may be started again; what was ended stays ended')
        .option('-r, --reason <text>', 'why; goes on the trail (required but for --lift)'),
    (output, options) => {
      const subject = subjectOf(options);
      return options.lift === true
        ? orderAndTell(output, options, { action: 'resume', subject: ALL, reason: options.reason ?? '' })
        : orderAndTell(output, options, { action: 'revoke', subject, reason: readReason(options.reason) });
    },
  );
}

/** @throws `ERR_USAGE` unless exactly one thing is named */
function subjectOf({ all, agent, connector, task, lift }: KillOptions): RevocationSubject {
  const named: RevocationSubject[] = [];
  if (all === true || lift === true) named.push(ALL);
  if (all === true && lift === true) named.push(ALL);
  if (agent !== undefined) named.push({ kind: 'agent', id: agent });
  if (connector !== undefined) named.push({ kind: 'connector', id: connector });
  if (task !== undefined) named.push({ kind: 'task', id: task });
  const [only] = named;
  if (only !== undefined && named.length === 1) return only;
  throw new RemitError('ERR_USAGE', 'kill takes exactly one of --all, --agent, --connector, --task and --lift', {
    hint: 'For example `remit kill --agent NAME --reason "why"`.',
  });
}
