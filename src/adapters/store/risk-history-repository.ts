import { tenantId } from '../../domain/ids.ts';
import type { RiskHistoryRepository } from '../../seams/store.ts';
import type { Queries } from './schema.ts';

/** What agents and connectors have done before. */
export function makeRiskHistoryRepository(queries: Queries): RiskHistoryRepository {
  return {
    async list(tenant, since) {
      let query = queries.selectFrom('risk_history').selectAll().where('tenant', '=', tenant);
      if (since !== undefined) query = query.where('first_at', '>=', since);
      const rows = await query.execute();
      return rows.map((row) => ({
        tenant: tenantId(row.tenant),
        scope: row.scope,
        kind: row.kind,
        value: row.value,
        firstAt: Number(row.first_at),
      }));
    },

    async add({ tenant, scope, kind, value, firstAt }) {
      await queries
        .insertInto('risk_history')
        .values({ tenant, scope, kind, value, first_at: firstAt })
        .onConflict((conflict) => conflict.columns(['tenant', 'scope', 'kind', 'value']).doNothing())
        .execute();
    },
  };
}
