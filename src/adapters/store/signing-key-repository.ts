import type { SigningKeyRepository } from '../../seams/store.ts';
import { bytesOf, orNull, orUndefined } from './columns.ts';
import type { Atomically, Queries } from './schema.ts';

/** Token-signing keys; an index of the table lets at most one be current. */
export function makeSigningKeyRepository(queries: Queries, atomically: Atomically): SigningKeyRepository {
  return {
    async list() {
      const rows = await queries.selectFrom('signing_keys').selectAll().orderBy('created_at').orderBy('kid').execute();
      return rows.map((row) => ({
        kid: row.kid,
        state: row.state,
        keyId: row.key_id,
        envelope: bytesOf(row.envelope),
        createdAt: row.created_at,
        retiresAt: orUndefined(row.retires_at),
      }));
    },

    async rotate(key, othersRetireAt) {
      await atomically(async (step) => {
        await step
          .updateTable('signing_keys')
          .set({ state: 'retired', retires_at: othersRetireAt })
          .where('state', '=', 'current')
          .execute();
        await step
          .insertInto('signing_keys')
          .values({
            kid: key.kid,
            state: 'current',
            key_id: key.keyId,
            envelope: key.envelope,
            created_at: key.createdAt,
            retires_at: orNull(key.retiresAt),
          })
          .execute();
      });
    },

    async removeRetiredBefore(time) {
      const { numDeletedRows } = await queries
        .deleteFrom('signing_keys')
        .where('state', '=', 'retired')
        .where('retires_at', '<', time)
        .executeTakeFirst();
      return Number(numDeletedRows);
    },
  };
}
