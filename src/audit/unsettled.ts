import type { TaskId } from '../domain/ids.ts';
import type { AuditRecord } from '../domain/record.ts';
import type { RecordEntry } from './recorder.ts';

/** What a restarted gateway must know of the past: the journal is the authority on what happened. */
export interface JournalHistory {
  /** Permitted operations without an outcome, oldest first: a crash came between the two (A1). */
  readonly unsettled: readonly AuditRecord[];
  /** Permitted calls of each task that has not ended: what its call budget has been charged. */
  readonly permittedCalls: ReadonlyMap<TaskId, number>;
  /** The prompt that each task that has not ended followed from last: its digest. */
  readonly prompts: ReadonlyMap<TaskId, string>;
}

/** What has an outcome once it is permitted: a call, what follows from one, a question to a client. Only a call takes of the budget. */
const SETTLED: ReadonlySet<unknown> = new Set(['call', 'follow', 'ask']);

/** Reads records from the first one on, in one pass; keeps what is open, not what is over. */
export async function readHistory(records: AsyncIterable<AuditRecord>): Promise<JournalHistory> {
  const open = new Map<string, AuditRecord>();
  const permittedCalls = new Map<TaskId, number>();
  const prompts = new Map<TaskId, string>();
  for await (const record of records) {
    const { type, task } = record;
    if (type === 'decision' && SETTLED.has(record.detail.effect) && record.detail.verdict === 'permit') {
      open.set(record.span ?? `#${record.seq}`, record);
      if (task !== undefined && record.detail.effect === 'call')
        permittedCalls.set(task, (permittedCalls.get(task) ?? 0) + 1);
    } else if (type === 'outcome') {
      if (record.span !== undefined) open.delete(record.span);
    } else if (type === 'prompt' && task !== undefined) {
      prompts.set(task, String(record.detail.digest));
    } else if (type === 'task_ended' && task !== undefined) {
      prompts.delete(task);
      permittedCalls.delete(task);
    }
  }
  return { unsettled: [...open.values()], permittedCalls, prompts };
}

/** The record that recovery writes for an unsettled decision: it carries the same identities, and claims nothing. */
export function outcomeUnknown(decision: AuditRecord): RecordEntry {
  const { seq, time: _, tenant: __, sealed: ___, detail: ____, ...identity } = decision;
  return { ...identity, type: 'outcome', detail: { status: 'outcome_unknown', decision: seq } };
}
