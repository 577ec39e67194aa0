import { tenantId } from '../../domain/ids.ts';
import type { CanaryRepository } from '../../seams/store.ts';
import type { Queries } from './schema.ts';

/** Canaries: fingerprints, and never a value. */
export function makeCanaryRepository(queries: Queries): CanaryRepository {
  return {
    async insert({ tenant, id, zone, print, createdAt, createdBy }) {
      await queries
        .insertInto('canaries')
        .values({ tenant, id, zone, ...print, created_at: createdAt, created_by: createdBy })
        .execute();
    },

    async list(tenant) {
      const rows = await queries
        .selectFrom('canaries')
        .selectAll()
        .where('tenant', '=', tenant)
        .orderBy('created_at')
        .orderBy('id')
        .execute();
      return rows.map(({ id, zone, length, tag, mac, ...row }) => ({
        tenant: tenantId(row.tenant),
        id,
        zone,
        print: { length, tag, mac },
        createdAt: row.created_at,
        createdBy: row.created_by,
      }));
    },

    async remove(tenant, id) {
      const { numDeletedRows } = await queries
        .deleteFrom('canaries')
        .where('tenant', '=', tenant)
        .where('id', '=', id)
        .executeTakeFirst();
      return numDeletedRows > 0n;
    },
  };
}
