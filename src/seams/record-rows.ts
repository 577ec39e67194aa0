import type { AuditRecord } from '../domain/record.ts';

/** A record as people query it: everything but what is sealed. */
export type OpenRecord = Omit<AuditRecord, 'sealed'>;

/** A table of records for people’s queries; no proof of anything. Cardinality: none, or one per gateway process. */
export interface RecordRows {
  /** For people. */
  readonly name: string;
  /** Position behind the last record of a journal that is there; 0 for none. Makes the table where there is none. @throws `ERR_ROWS` */
  next(journal: string): Promise<number>;
  /** Adds records, all or none; those that are there already stay as they are. @throws `ERR_ROWS` */
  add(journal: string, node: string, records: readonly OpenRecord[]): Promise<void>;
  close(): Promise<void>;
}
