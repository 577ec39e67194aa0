import { sql } from 'kysely';
import type { Lease, LeaseState } from '../../domain/lease.ts';
import type { LeaseClaims } from '../../seams/store.ts';
import { fromRow } from './lease-repository.ts';
import type { Dialect } from './migrations.ts';
import type { Queries } from './schema.ts';

const OPEN: readonly LeaseState[] = ['intended', 'active', 'revoking'];

/** As the index on what is due spells it. */
const NOT_ENDED = sql<boolean>`state <> 'ended'`;

/** Claims on leases. Who claims counts the fence up in the same step, so that an earlier claimant's changes are refused from then on. */
export function makeLeaseClaims(queries: Queries, dialect: Dialect): LeaseClaims {
  return {
    async due(tenant, at) {
      const downstreams = await queries
        .selectFrom('leases')
        .select('downstream')
        .distinct()
        .where('tenant', '=', tenant)
        .where('claimed_until', '<=', at)
        .where(NOT_ENDED)
        .orderBy('downstream')
        .execute();
      const next = await queries
        .selectFrom('leases')
        .select((column) => column.fn.min('claimed_until').as('at'))
        .where('tenant', '=', tenant)
        .where('claimed_until', '>', at)
        .where(NOT_ENDED)
        .executeTakeFirst();
      return {
        downstreams: downstreams.map((row) => row.downstream),
        next: next === undefined || next.at === null ? undefined : Number(next.at),
      };
    },

    async claimDue(tenant, { by, at, until, downstream, limit }) {
      const due = queries
        .selectFrom('leases')
        .select('id')
        .where('tenant', '=', tenant)
        .where('claimed_until', '<=', at)
        .where('downstream', '=', downstream)
        .where(NOT_ENDED)
        .orderBy('claimed_until')
        .limit(limit);
      // SQLite has one writer at a time. PostgreSQL passes over rows that another claimant is about to take.
      const free = dialect.name === 'postgres' ? due.forUpdate().skipLocked() : due;
      // Named first, so that it is chosen once: a subquery that locks may be run again for each row.
      const rows = await queries
        .with('due', () => free)
        .updateTable('leases')
        .set((column) => ({ claimed_by: by, claimed_until: until, fence: column('fence', '+', 1) }))
        .where('tenant', '=', tenant)
        .where('id', 'in', (column) => column.selectFrom('due').select('id'))
        .returningAll()
        .execute();
      return rows.map(fromRow).sort((a, b) => a.intendedAt - b.intendedAt);
    },

    async takeOver({ tenant, id }, { by, until }): Promise<Lease | undefined> {
      const row = await queries
        .updateTable('leases')
        .set((column) => ({ claimed_by: by, claimed_until: until, fence: column('fence', '+', 1) }))
        .where('tenant', '=', tenant)
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirst();
      return row === undefined ? undefined : fromRow(row);
    },

    async releaseOthers(tenant, by, at, reason, ofNode) {
      let query = queries
        .updateTable('leases')
        .set((column) => ({
          claimed_until: at,
          fence: column('fence', '+', 1),
          end_reason: column.fn.coalesce('end_reason', sql<string>`${reason}`),
        }))
        .where('tenant', '=', tenant)
        .where('claimed_by', '<>', by)
        .where('state', 'in', OPEN);
      // The name of a node has no character that means more than itself in a pattern.
      if (ofNode !== undefined) query = query.where('claimed_by', 'like', `gateway ${ofNode} %`);
      const { numUpdatedRows } = await query.executeTakeFirst();
      return Number(numUpdatedRows);
    },
  };
}
