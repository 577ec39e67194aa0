import type { OAuthRepository } from '../../seams/store.ts';
import { objectOf, orNull, orUndefined } from './columns.ts';
import type { Queries } from './schema.ts';

/** Rows of the authorization server. Times are seconds, as oidc-provider gives them. */
export function makeOAuthRepository(queries: Queries): OAuthRepository {
  /** Rows that have not expired at `now`. */
  const live = (model: string, now: number) =>
    queries
      .selectFrom('oauth')
      .where('model', '=', model)
      .where((is) => is.or([is('expires_at', 'is', null), is('expires_at', '>', now)]));

  return {
    async upsert(model, id, payload, expiresAt) {
      const columns = {
        payload: JSON.stringify(payload),
        grant_id: textField(payload, 'grantId'),
        uid: textField(payload, 'uid'),
        expires_at: orNull(expiresAt),
      };
      await queries
        .insertInto('oauth')
        .values({ model, id, ...columns, consumed_at: null })
        // A row that was used stays used, whatever is written over it.
        .onConflict((conflict) => conflict.columns(['model', 'id']).doUpdateSet(columns))
        .execute();
    },

    async find(model, id, now) {
      const row = await live(model, now).select(['payload', 'consumed_at']).where('id', '=', id).executeTakeFirst();
      if (row === undefined) return undefined;
      return { payload: objectOf(row.payload), consumedAt: orUndefined(row.consumed_at) };
    },

    async findByUid(model, uid, now) {
      const row = await live(model, now).select(['id', 'payload']).where('uid', '=', uid).executeTakeFirst();
      return row === undefined ? undefined : { id: row.id, payload: objectOf(row.payload) };
    },

    async takeByUid(model, uid) {
      const row = await queries
        .deleteFrom('oauth')
        .where('model', '=', model)
        .where('uid', '=', uid)
        .returning(['id', 'payload'])
        .executeTakeFirst();
      return row === undefined ? undefined : { id: row.id, payload: objectOf(row.payload) };
    },

    async consume(model, id, at) {
      const { numUpdatedRows } = await queries
        .updateTable('oauth')
        .set({ consumed_at: at })
        .where('model', '=', model)
        .where('id', '=', id)
        .where('consumed_at', 'is', null)
        .executeTakeFirst();
      return numUpdatedRows === 1n;
    },

    async destroy(model, id) {
      await queries.deleteFrom('oauth').where('model', '=', model).where('id', '=', id).execute();
    },

    async revokeByGrantId(model, grantId) {
      await queries.deleteFrom('oauth').where('model', '=', model).where('grant_id', '=', grantId).execute();
    },

    async removeExpired(now) {
      const { numDeletedRows } = await queries.deleteFrom('oauth').where('expires_at', '<=', now).executeTakeFirst();
      return Number(numDeletedRows);
    },
  };
}

function textField(payload: object, name: 'grantId' | 'uid'): string | null {
  const value = (payload as Record<string, unknown>)[name];
  return typeof value === 'string' ? value : null;
}
