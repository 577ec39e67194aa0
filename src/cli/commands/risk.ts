import type { Command } from 'commander';
import { readNewest } from '../../audit/read-backwards.ts';
import { type RiskView, readSubject } from '../../compose/risk/risk-operations.ts';
import { createJournalAccess } from '../../compose/trail/journal-access.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import type { AuditRecord } from '../../domain/record.ts';
import { riskKey } from '../../domain/risk.ts';
import { callAdmin } from '../admin-client.ts';
import { type Common, command } from '../command.ts';
import { readReason } from '../order.ts';
import { lineText, table } from '../output.ts';

/** Signals that are looked through for those of one subject, and that are shown of them. */
const MOST_READ = 1_000;
const MOST_SHOWN = 20;

async function ask<T>(
  options: Common,
  operation: string,
  parameters: Readonly<Record<string, string>> = {},
): Promise<T> {
  const { socket } = placesOf(await loadConfig(options.config));
  return callAdmin<T>(socket, operation, parameters);
}

/** `remit risk …`: who is risky, why, and that somebody has looked. All of it asks the running gateway. */
export function addRiskCommands(program: Command): void {
  const group = program.command('risk').description('how tasks, connectors, agents and users have behaved lately');

  command<Common>(
    group,
    'ls',
    'list whoever has a risk, the riskiest first',
    (c) => c,
    async (output, options) => {
      const { risks } = await ask<{ risks: RiskView[] }>(options, 'risks');
      output.result(risks, () =>
        table(
          ['KIND', 'ID', 'LEVEL', 'SCORE'],
          risks.map(({ kind, id, level, score }) => [kind, lineText(id), level, String(score)]),
          'Nothing has happened lately.',
        ),
      );
    },
  );

  command<Common>(
    group,
    'show <kind> <id>',
    'show a risk and the newest signals that moved it',
    (c) => c,
    async (output, options, [kind = '', id = '']) => {
      const subject = readSubject({ kind, id });
      const view = await ask<RiskView>(options, 'risk', { kind, id });
      const signals = await signalsOf(options, riskKey(subject));
      output.result({ ...view, signals }, () =>
        [`${kind} ${lineText(id)}: ${view.level} (${view.score})`, ...signals.map(signalLine)].join('\n'),
      );
    },
  );

  command<Common & { reason?: string }>(
    group,
    'clear <kind> <id>',
    'you have looked: its signals count no more. What was suspended is resumed by its own command',
    (c) => c.option('-r, --reason <text>', 'why; goes on the trail (required)'),
    async (output, options, [kind = '', id = '']) => {
      const reason = readReason(options.reason);
      const view = await ask<RiskView>(options, 'risk-clear', { kind, id, reason });
      output.result(view, () => `${kind} ${lineText(id)}: cleared`);
    },
  );
}

interface SignalView {
  readonly time: string;
  readonly signal: string;
  readonly what: string;
  readonly points: number;
  readonly task?: string;
}

async function signalsOf(options: Common, subject: string): Promise<SignalView[]> {
  const journal = createJournalAccess(placesOf(await loadConfig(options.config)).journal);
  const { records } = await readNewest(journal, MOST_READ, { types: ['signal'] });
  const own = records.filter(({ detail }) => Object.hasOwn((detail.scores ?? {}) as object, subject));
  return own.slice(-MOST_SHOWN).map(toView);
}

function toView({ time, task, detail }: AuditRecord): SignalView {
  const { signal, what, points } = detail;
  const view = { time, signal: String(signal), what: String(what), points: Number(points) };
  return task === undefined ? view : { ...view, task };
}

const signalLine = ({ time, signal, points, what }: SignalView): string =>
  `  ${time}  ${signal} (${points}): ${lineText(what)}`;
