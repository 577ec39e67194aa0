import { tenantId } from '../../domain/ids.ts';
import type { SealedRow, SealedRowRepository } from '../../seams/store.ts';
import { bytesOf } from './columns.ts';
import type { Queries } from './schema.ts';

/** Signing keys are of the store, whoever's they are. */
const NO_TENANT = tenantId('');

/** Envelopes of every table that keeps some. A change names the envelope that was read, so that it takes the place of no other. */
export function makeSealedRowRepository(queries: Queries): SealedRowRepository {
  type Some = (tenants: readonly string[], keyIds: readonly string[], limit: number) => Promise<SealedRow[]>;

  const secrets: Some = async (tenants, keyIds, limit) => {
    const rows = await queries
      .selectFrom('secrets')
      .select(['tenant', 'name', 'version', 'key_id', 'envelope'])
      .where('tenant', 'in', tenants)
      .where('key_id', 'in', keyIds)
      .limit(limit)
      .execute();
    return rows.map(({ tenant, name, version, key_id, envelope }) =>
      toRow('secret', tenant, name, key_id, envelope, version),
    );
  };
  const taskKeys: Some = async (tenants, keyIds, limit) => {
    const rows = await queries
      .selectFrom('task_keys')
      .select(['tenant', 'task', 'key_id', 'envelope'])
      .where('tenant', 'in', tenants)
      .where('key_id', 'in', keyIds)
      .limit(limit)
      .execute();
    return rows.map(({ tenant, task, key_id, envelope }) => toRow('task_key', tenant, task, key_id, envelope));
  };
  const signingKeys: Some = async (_tenants, keyIds, limit) => {
    const rows = await queries
      .selectFrom('signing_keys')
      .select(['kid', 'key_id', 'envelope'])
      .where('key_id', 'in', keyIds)
      .limit(limit)
      .execute();
    return rows.map(({ kid, key_id, envelope }) => toRow('signing_key', NO_TENANT, kid, key_id, envelope));
  };
  const leaseHandles: Some = async (tenants, keyIds, limit) => {
    const rows = await queries
      .selectFrom('leases')
      .select(['tenant', 'id', 'handle_key_id', 'handle_envelope'])
      .where('tenant', 'in', tenants)
      .where('handle_key_id', 'in', keyIds)
      .limit(limit)
      .execute();
    return rows.flatMap(({ tenant, id, handle_key_id, handle_envelope }) =>
      handle_key_id === null || handle_envelope === null
        ? []
        : [toRow('lease_handle', tenant, id, handle_key_id, handle_envelope)],
    );
  };

  const approvals: Some = async (tenants, keyIds, limit) => {
    const rows = await queries
      .selectFrom('approvals')
      .select(['tenant', 'id', 'key_id', 'envelope'])
      .where('tenant', 'in', tenants)
      .where('key_id', 'in', keyIds)
      .limit(limit)
      .execute();
    return rows.flatMap(({ tenant, id, key_id, envelope }) =>
      key_id === null || envelope === null ? [] : [toRow('approval', tenant, id, key_id, envelope)],
    );
  };

  return {
    async under(tenants, keyIds, limit) {
      const found: SealedRow[] = [];
      if (tenants.length === 0 || keyIds.length === 0) return found;
      for (const some of [secrets, signingKeys, leaseHandles, approvals, taskKeys]) {
        if (found.length < limit) found.push(...(await some(tenants, keyIds, limit - found.length)));
      }
      return found;
    },

    async replace({ kind, id, tenant, version, envelope: was }, { keyId, envelope }) {
      const change = { key_id: keyId, envelope };
      const { numUpdatedRows } = await (kind === 'secret'
        ? queries
            .updateTable('secrets')
            .set(change)
            .where('tenant', '=', tenant)
            .where('name', '=', id)
            .where('version', '=', version)
            .where('envelope', '=', was)
        : kind === 'task_key'
          ? queries
              .updateTable('task_keys')
              .set(change)
              .where('tenant', '=', tenant)
              .where('task', '=', id)
              .where('envelope', '=', was)
          : kind === 'signing_key'
            ? queries.updateTable('signing_keys').set(change).where('kid', '=', id).where('envelope', '=', was)
            : kind === 'approval'
              ? queries
                  .updateTable('approvals')
                  .set(change)
                  .where('tenant', '=', tenant)
                  .where('id', '=', id)
                  .where('envelope', '=', was)
              : queries
                  .updateTable('leases')
                  .set({ handle_key_id: keyId, handle_envelope: envelope })
                  .where('tenant', '=', tenant)
                  .where('id', '=', id)
                  .where('handle_envelope', '=', was)
      ).executeTakeFirst();
      return numUpdatedRows === 1n;
    },

    async countByKey(tenants) {
      const counts = new Map<string, number>();
      const add = (rows: readonly { key_id: string | null; rows: number | string | bigint }[]): void => {
        for (const { key_id, rows: found } of rows) {
          if (key_id !== null) counts.set(key_id, (counts.get(key_id) ?? 0) + Number(found));
        }
      };
      if (tenants.length === 0) return counts;
      for (const table of ['secrets', 'task_keys', 'approvals'] as const) {
        add(
          await queries
            .selectFrom(table)
            .select((column) => ['key_id', column.fn.countAll().as('rows')])
            .where('tenant', 'in', tenants)
            .groupBy('key_id')
            .execute(),
        );
      }
      add(
        await queries
          .selectFrom('signing_keys')
          .select((column) => ['key_id', column.fn.countAll().as('rows')])
          .groupBy('key_id')
          .execute(),
      );
      add(
        await queries
          .selectFrom('leases')
          .select((column) => ['handle_key_id as key_id', column.fn.countAll().as('rows')])
          .where('tenant', 'in', tenants)
          .groupBy('handle_key_id')
          .execute(),
      );
      return counts;
    },
  };
}

function toRow(
  kind: SealedRow['kind'],
  tenant: string,
  id: string,
  keyId: string,
  envelope: Buffer | ArrayBuffer,
  version = 1,
): SealedRow {
  return { kind, id, tenant: tenantId(tenant), version, keyId, envelope: bytesOf(envelope) };
}
