import type { Selectable } from 'kysely';
import { tenantId } from '../../domain/ids.ts';
import type { TrailHead } from '../../domain/trail-head.ts';
import type { TrailHeadRepository } from '../../seams/shared-store.ts';
import { DATABASE_NOW } from './database-clock.ts';
import type { Queries, TrailHeadTable } from './schema.ts';

/** Journals that are looked at: the newest, whoever fills the table (guarantee I3). */
const MOST = 1_000;

/** Checkpoints of nodes, in PostgreSQL. */
export function makeTrailHeadRepository(queries: Queries): TrailHeadRepository {
  return {
    async publish({ tenant, node, origin, key, size, checkpoint }) {
      await queries
        .insertInto('trail_heads')
        .values({ tenant, origin, node, key, size, checkpoint, published_at: DATABASE_NOW, is_superseded: 0 })
        .onConflict((conflict) =>
          conflict
            .columns(['tenant', 'origin'])
            .doUpdateSet((column) => ({
              size: column.ref('excluded.size'),
              checkpoint: column.ref('excluded.checkpoint'),
              published_at: column.ref('excluded.published_at'),
            }))
            .whereRef('trail_heads.size', '<', 'excluded.size'),
        )
        .execute();
      const row = await queries
        .selectFrom('trail_heads')
        .selectAll()
        .where('tenant', '=', tenant)
        .where('origin', '=', origin)
        .executeTakeFirstOrThrow();
      return headOf(row);
    },

    async list(tenant) {
      const rows = await queries
        .selectFrom('trail_heads')
        .selectAll()
        .where('tenant', '=', tenant)
        .orderBy('published_at', 'desc')
        .limit(MOST)
        .execute();
      return rows.map(headOf);
    },

    async ofNode(tenant, node) {
      const rows = await queries
        .selectFrom('trail_heads')
        .selectAll()
        .where('tenant', '=', tenant)
        .where('node', '=', node)
        .orderBy('published_at', 'desc')
        .limit(MOST)
        .execute();
      return rows.map((row) => ({ ...headOf(row), isSuperseded: row.is_superseded === 1 }));
    },

    async supersede(tenant, node, origin) {
      await queries
        .updateTable('trail_heads')
        .set({ is_superseded: 1 })
        .where('tenant', '=', tenant)
        .where('node', '=', node)
        .where('origin', '<>', origin)
        .execute();
    },
  };
}

function headOf({ tenant, node, origin, key, size, checkpoint }: Selectable<TrailHeadTable>): TrailHead {
  return { tenant: tenantId(tenant), node, origin, key, size, checkpoint };
}
