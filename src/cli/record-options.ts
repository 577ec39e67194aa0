import type { Command } from 'commander';
import type { RecordFilter } from '../audit/record-filter.ts';
import { RemitError } from '../domain/errors.ts';
import { agentId, connectorId, leaseId, taskId, traceId } from '../domain/ids.ts';
import { RECORD_TYPES, type RecordType } from '../domain/record.ts';

/** Options that choose records, the same for every command that reads them. */
export interface RecordOptions {
  readonly task?: string;
  readonly trace?: string;
  readonly agent?: string;
  readonly connector?: string;
  readonly tool?: string;
  readonly lease?: string;
  readonly type?: string;
  readonly verdict?: string;
  readonly from?: string;
  readonly to?: string;
}

const VERDICTS = ['permit', 'deny', 'step_up'];

export const recordOptions = (c: Command): Command =>
  c
    .option('--task <id>', 'only of this task')
    .option('--trace <id>', 'only of this trace')
    .option('--agent <name>', 'only of this agent')
    .option('--connector <id>', 'only of this connector')
    .option('--tool <ref>', 'only of this item: connector/tool')
    .option('--lease <id>', 'only of this lease')
    .option('--type <list>', `only these types: ${RECORD_TYPES.join(', ')}`)
    .option('--verdict <verdict>', `only decisions that came out so: ${VERDICTS.join(', ')}`)
    .option('--from <time>', 'from this time on: RFC 3339, a date, or an age such as 90s, 30m, 12h, 7d')
    .option('--to <time>', 'before this time');

/** @param now milliseconds since the epoch: what an age counts back from. @throws `ERR_USAGE` */
export function readRecordFilter(options: RecordOptions, now: number): RecordFilter {
  const { task, trace, agent, connector, tool, lease, type, verdict, from, to } = options;
  if (verdict !== undefined && !VERDICTS.includes(verdict)) {
    throw new RemitError('ERR_USAGE', `no verdict is called ${verdict}`, { hint: `Verdicts: ${VERDICTS.join(', ')}.` });
  }
  if (tool !== undefined && !tool.includes('/')) {
    throw new RemitError('ERR_USAGE', `${tool} is no item`, {
      hint: 'An item is named connector/tool, for example shop_db/query; --connector takes a connector alone.',
    });
  }
  return {
    ...(task !== undefined && { task: taskId(task) }),
    ...(trace !== undefined && { trace: traceId(trace) }),
    ...(agent !== undefined && { agent: agentId(agent) }),
    ...(connector !== undefined && { connector: connectorId(connector) }),
    ...(tool !== undefined && { tool: tool as NonNullable<RecordFilter['tool']> }),
    ...(lease !== undefined && { lease: leaseId(lease) }),
    ...(type !== undefined && { types: readTypes(type) }),
    ...(verdict !== undefined && { verdict }),
    ...(from !== undefined && { from: readTime('--from', from, now) }),
    ...(to !== undefined && { to: readTime('--to', to, now) }),
  };
}

const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const TIME = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2}))?$/;

/** @throws `ERR_USAGE` */
export function readTime(option: string, text: string, now: number): number {
  const age = /^(\d{1,6})([smhd])$/.exec(text);
  if (age !== null) return now - Number(age[1]) * UNITS[age[2] as keyof typeof UNITS];
  // A time without its zone would be another one on each machine; a date alone begins at midnight UTC.
  const time = TIME.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isFinite(time)) return time;
  throw new RemitError('ERR_USAGE', `${option} takes a time, not ${text}`, {
    hint: `For example ${option} 2026-08-31T12:00:00Z, ${option} 2026-08-31 or ${option} 12h.`,
  });
}

function readTypes(text: string): RecordType[] {
  const types = text.split(',').map((type) => type.trim());
  const unknown = types.filter((type) => !RECORD_TYPES.includes(type as RecordType));
  if (unknown.length > 0)
    throw new RemitError('ERR_USAGE', `no record type is called ${unknown.join(', ')}`, {
      hint: `Types: ${RECORD_TYPES.join(', ')}.`,
    });
  return types as RecordType[];
}
