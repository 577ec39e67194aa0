import type { AuditRecord } from '../domain/record.ts';
import type { RecordEntry } from './recorder.ts';

/** The record that recovery writes for an unsettled decision: it carries the same identities, and claims nothing. */
export function outcomeUnknown(decision: AuditRecord): RecordEntry {
  const { seq, time: _, tenant: __, sealed: ___, detail: ____, ...identity } = decision;
  return { ...identity, type: 'outcome', detail: { status: 'outcome_unknown', decision: seq } };
}
