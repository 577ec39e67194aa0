import type { AuditRecord } from '../src/domain/record.ts';
import type { Alive } from './downstream.ts';
import type { LeaseRow } from './ledger.ts';

/**
 * Where in its life a kill caught a lease, told from what is left: row, records, object, sessions. In the order of a lease's life.
 */
export const CAUGHT = [
  'row without record',
  'record without row',
  'intent durable, nothing issued',
  'issued, not recorded',
  'recorded as issued, row not active yet',
  'active row, record not written yet',
  'active, never used',
  'active, in use',
  'revoking, still usable',
  'revoking, barred',
  'revoking, gone, not recorded',
  'revocation recorded, row still open',
] as const;
export type Caught = (typeof CAUGHT)[number];

export function classify(
  rows: readonly LeaseRow[],
  records: readonly AuditRecord[],
  alive: readonly Alive[],
): ReadonlyMap<string, Caught> {
  const seen = new Map<string, Set<string>>();
  for (const { lease, type, detail } of records) {
    if (lease === undefined) continue;
    const kind = type === 'revocation' && detail.outcome === 'failed' ? 'revocation failed' : type;
    seen.set(lease, (seen.get(lease) ?? new Set()).add(kind));
  }
  const objects = new Map(alive.map((object) => [object.tag, object]));
  const caught = new Map<string, Caught>();
  for (const row of rows) {
    const place = placeOf(row, seen.get(row.id) ?? new Set(), objects.get(row.tag));
    if (place !== undefined) caught.set(row.id, place);
  }
  const known = new Set(rows.map(({ id }) => id));
  for (const [lease, types] of seen) {
    if (!known.has(lease) && types.has('credential_intended')) caught.set(lease, 'record without row');
  }
  return caught;
}

function placeOf({ state }: LeaseRow, records: ReadonlySet<string>, object: Alive | undefined): Caught | undefined {
  if (state === 'ended' || state === 'lapsing') return undefined;
  if (records.has('revocation')) return 'revocation recorded, row still open';
  if (state === 'intended') {
    if (!records.has('credential_intended')) return 'row without record';
    if (object === undefined) return 'intent durable, nothing issued';
    return records.has('credential_issued') ? 'recorded as issued, row not active yet' : 'issued, not recorded';
  }
  if (state === 'active') {
    if (!records.has('credential_issued')) return 'active row, record not written yet';
    return object !== undefined && object.sessions > 0 ? 'active, in use' : 'active, never used';
  }
  if (object === undefined) return 'revoking, gone, not recorded';
  return object.mayLogIn ? 'revoking, still usable' : 'revoking, barred';
}
