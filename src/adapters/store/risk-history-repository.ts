import { tenantId } from '../../domain/ids.ts';
import type { RiskHistoryRepository } from '../../seams/store.ts';
import type { Queries } from './schema.ts';

/** What agents and connectors have done before. */
export function makeRiskHistoryRepository(queries: Queries): RiskHistoryRepository {
  return {
    async list(tenant) {
      const rows = await queries.selectFrom('risk_history').selectAll().where('tenant', '=', tenant).execute();
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
