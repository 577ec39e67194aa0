import { decodeRecord, peekType } from './decode-record.ts';
import type { Payloads } from './read-records.ts';

/** Old records that were removed, as the trail itself says. */
export interface Removal {
  /** Position and time of the record that announced it. */
  readonly record: number;
  readonly time: string;
  /** Positions from `first` up to `end`, which is not one of them. */
  readonly first: number;
  readonly end: number;
  readonly segments: number;
  readonly bytes: number;
  /** Between which times they were written. */
  readonly since?: string;
  readonly until?: string;
  /** What was configured to be kept, in which file, and which account ran the gateway. */
  readonly keep: { readonly days?: number; readonly MiB?: number };
  readonly configuration: string;
  readonly by: string;
}

/** Announcements of removals that are still there; the newest one always is. */
export async function findRemovals(payloads: Payloads): Promise<Removal[]> {
  const removals: Removal[] = [];
  for await (const { position, payload } of payloads) {
    if (peekType(payload) !== 'records_removed') continue;
    const { time, detail } = decodeRecord(position, payload);
    removals.push({ ...detail, record: position, time } as unknown as Removal);
  }
  return removals;
}
