import type { PolicySetRepository } from '../../seams/shared-store.ts';
import type { Atomically, Queries } from './schema.ts';

/** Sets whose order is remembered: a folder that holds an older one is not taken for news (guarantee I3). */
const MOST = 1_000;

/** Which policies are in force, in PostgreSQL. */
export function makePolicySetRepository(queries: Queries, atomically: Atomically): PolicySetRepository {
  return {
    async newest(tenant) {
      return await queries
        .selectFrom('policy_sets')
        .select(['position', 'digest'])
        .where('tenant', '=', tenant)
        .orderBy('position', 'desc')
        .limit(1)
        .executeTakeFirst();
    },

    async read(tenant, position) {
      const row = await queries
        .selectFrom('policy_sets')
        .select('sealed')
        .where('tenant', '=', tenant)
        .where('position', '=', position)
        .executeTakeFirst();
      return row?.sealed ?? undefined;
    },

    async had(tenant, digest) {
      const row = await queries
        .selectFrom('policy_sets')
        .select('position')
        .where('tenant', '=', tenant)
        .where('digest', '=', digest)
        .limit(1)
        .executeTakeFirst();
      return row !== undefined;
    },

    publish: (tenant, { position, digest, sealed }) =>
      atomically(async (db) => {
        // Of two that publish after the same one, the second finds the position taken.
        const { numInsertedOrUpdatedRows } = await db
          .insertInto('policy_sets')
          .values({ tenant, position, digest, sealed })
          .onConflict((conflict) => conflict.columns(['tenant', 'position']).doNothing())
          .executeTakeFirst();
        if (numInsertedOrUpdatedRows !== 1n) return false;
        await db
          .updateTable('policy_sets')
          .set({ sealed: null })
          .where('tenant', '=', tenant)
          .where('position', '<', position)
          .where('sealed', 'is not', null)
          .execute();
        await db
          .deleteFrom('policy_sets')
          .where('tenant', '=', tenant)
          .where('position', '<=', position - MOST)
          .execute();
        return true;
      }),
  };
}
