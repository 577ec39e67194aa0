import { createHash } from 'node:crypto';
import type { FlowLabels } from '../../domain/flow.ts';
import { connectorId, tenantId } from '../../domain/ids.ts';
import { namesText, type StoredMark, type ThingNames } from '../../domain/stored-mark.ts';
import type { StoredMarkRepository } from '../../seams/store.ts';
import type { Queries } from './schema.ts';

/**
 * Marks on what tasks have stored. Labels are part of a row's key: rows are joined by who reads them, so that whoever writes at once overwrites
 * nothing of another's, and no write reads first.
 */
export function makeStoredMarkRepository(queries: Queries): StoredMarkRepository {
  return {
    async keep({ tenant, connector, names, labels, at }) {
      const row = { connector, names: namesText(names), labels: labelsText(labels), marked_at: at };
      await queries
        .insertInto('stored_marks')
        .values({ tenant, id: idOf(row), ...row })
        .onConflict((conflict) => conflict.columns(['tenant', 'id']).doUpdateSet({ marked_at: at }))
        .execute();
    },

    async list(tenant, since) {
      let query = queries.selectFrom('stored_marks').selectAll().where('tenant', '=', tenant);
      if (since !== undefined && Number.isFinite(since)) query = query.where('marked_at', '>=', since);
      const rows = await query.execute();
      return rows.map((row) => ({
        tenant: tenantId(row.tenant),
        connector: connectorId(row.connector),
        names: namesOf(row.names),
        labels: JSON.parse(row.labels) as FlowLabels,
        at: row.marked_at,
      }));
    },

    async forget(tenant, { things, connectors }) {
      const { numDeletedRows } = await queries
        .deleteFrom('stored_marks')
        .where('tenant', '=', tenant)
        .where(({ and, or, eb }) =>
          or([
            and([eb('names', '<>', ''), eb('marked_at', '<=', things)]),
            and([eb('names', '=', ''), eb('marked_at', '<=', connectors)]),
          ]),
        )
        .executeTakeFirst();
      return Number(numDeletedRows);
    },
  };
}

/** Of bounded length, whatever the names and classes: databases bound what an index holds. */
const idOf = (row: { readonly connector: string; readonly names: string; readonly labels: string }): string =>
  createHash('sha256')
    .update(JSON.stringify([row.connector, row.names, row.labels]))
    .digest('hex');

const labelsText = ({ trust, dataClasses, zones }: FlowLabels): string => JSON.stringify({ trust, dataClasses, zones });

const namesOf = (text: string): StoredMark['names'] =>
  text === '' ? undefined : (Object.fromEntries(JSON.parse(text) as [string, string[]][]) as ThingNames);
