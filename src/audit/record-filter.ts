import type { AgentId, ConnectorId, LeaseId, TaskId, ToolRef, TraceId } from '../domain/ids.ts';
import type { AuditRecord, RecordType } from '../domain/record.ts';

/** All that are given must hold. */
export interface RecordFilter {
  readonly task?: TaskId;
  readonly types?: readonly RecordType[];
  readonly trace?: TraceId;
  readonly agent?: AgentId;
  readonly connector?: ConnectorId;
  readonly tool?: ToolRef;
  readonly lease?: LeaseId;
  /** Of a `decision`; no other record has one. */
  readonly verdict?: string;
  /** First `seq` to give. */
  readonly since?: number;
  /** Milliseconds since the epoch; `from` is included, `to` is not. */
  readonly from?: number;
  readonly to?: number;
}

export function isWanted(record: AuditRecord, filter: RecordFilter): boolean {
  return (
    (filter.task === undefined || record.task === filter.task) &&
    (filter.trace === undefined || record.trace === filter.trace) &&
    (filter.types === undefined || filter.types.includes(record.type)) &&
    (filter.agent === undefined || record.agent === filter.agent) &&
    (filter.connector === undefined || record.connector === filter.connector) &&
    (filter.tool === undefined || record.tool === filter.tool) &&
    (filter.lease === undefined || record.lease === filter.lease) &&
    (filter.verdict === undefined || record.detail.verdict === filter.verdict) &&
    isWithin(record.time, filter)
  );
}

/** A clock that was set back writes earlier times behind later ones: a reader cannot stop at the first that is too late. */
function isWithin(time: string, { from, to }: RecordFilter): boolean {
  if (from === undefined && to === undefined) return true;
  const at = Date.parse(time);
  return (from === undefined || at >= from) && (to === undefined || at < to);
}
