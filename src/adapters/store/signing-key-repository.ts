import type { SigningKeyRepository } from '../../seams/store.ts';
import { bytesOf, orNull, orUndefined } from './columns.ts';
import type { Atomically, Queries, SigningKeyTable } from './schema.ts';

/** Signing keys of one purpose; an index of the table lets at most one of each be current. */
export function makeSigningKeyRepository(
  queries: Queries,
  atomically: Atomically,
  purpose: SigningKeyTable['purpose'],
): SigningKeyRepository {
  return {
    async list() {
      const rows = await queries
        .selectFrom('signing_keys')
        .selectAll()
        .where('purpose', '=', purpose)
        .orderBy('created_at')
        .orderBy('kid')
        .execute();
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
          .where('purpose', '=', purpose)
          .where('state', '=', 'current')
          .execute();
        await step
          .insertInto('signing_keys')
          .values({
            kid: key.kid,
            purpose,
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
        .where('purpose', '=', purpose)
        .where('state', '=', 'retired')
        .where('retires_at', '<', time)
        .executeTakeFirst();
      return Number(numDeletedRows);
    },
  };
}
