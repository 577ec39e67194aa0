import type { Selectable } from 'kysely';
import { RemitError } from '../../domain/errors.ts';
import { tenantId } from '../../domain/ids.ts';
import type { SealedSecret, SecretRepository } from '../../seams/store.ts';
import { bytesOf, orNull, orUndefined } from './columns.ts';
import type { Queries, SecretTable } from './schema.ts';

/**
 * Sealed secrets: one row a name, the newest version. A replaced envelope is not kept, so that rotating a leaked secret
 * leaves nothing of it behind.
 */
export function makeSecretRepository(queries: Queries): SecretRepository {
  return {
    async put(secret) {
      const isWritten = secret.version === 1 ? await insertFirst(queries, secret) : await replace(queries, secret);
      if (isWritten) return;
      throw new RemitError('ERR_STORE_LOCKED', `secret ${secret.name} was changed by someone else meanwhile`, {
        where: secret.name,
        hint: 'Read the secret again and repeat the change.',
      });
    },

    async get(tenant, name) {
      const row = await queries
        .selectFrom('secrets')
        .selectAll()
        .where('tenant', '=', tenant)
        .where('name', '=', name)
        .executeTakeFirst();
      return row === undefined ? undefined : fromRow(row);
    },

    async list(tenant, names) {
      if (names?.length === 0) return [];
      const rows = await queries
        .selectFrom('secrets')
        .selectAll()
        .where('tenant', '=', tenant)
        .$if(names !== undefined, (query) => query.where('name', 'in', names ?? []))
        .orderBy('name')
        .execute();
      return rows.map(fromRow);
    },

    async remove(tenant, name) {
      const { numDeletedRows } = await queries
        .deleteFrom('secrets')
        .where('tenant', '=', tenant)
        .where('name', '=', name)
        .executeTakeFirst();
      return numDeletedRows === 1n;
    },

    async withFingerprint(fingerprint) {
      const rows = await queries
        .selectFrom('secrets')
        .select(['tenant', 'name'])
        .where('fingerprint', '=', fingerprint)
        .orderBy('tenant')
        .orderBy('name')
        .execute();
      return rows.map(({ tenant, name }) => ({ tenant: tenantId(tenant), name }));
    },

    async setFingerprint(tenant, name, version, fingerprint) {
      const { numUpdatedRows } = await queries
        .updateTable('secrets')
        .set({ fingerprint })
        .where('tenant', '=', tenant)
        .where('name', '=', name)
        .where('version', '=', version)
        .executeTakeFirst();
      return numUpdatedRows === 1n;
    },
  };
}

async function insertFirst(queries: Queries, secret: SealedSecret): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await queries
    .insertInto('secrets')
    .values({
      tenant: secret.tenant,
      name: secret.name,
      version: secret.version,
      key_id: secret.keyId,
      envelope: secret.envelope,
      created_at: secret.createdAt,
      fingerprint: orNull(secret.fingerprint),
    })
    .onConflict((conflict) => conflict.columns(['tenant', 'name']).doNothing())
    .executeTakeFirst();
  return numInsertedOrUpdatedRows === 1n;
}

/** The version check and the write are one statement: of two racing writers one fails. */
async function replace(queries: Queries, secret: SealedSecret): Promise<boolean> {
  const { numUpdatedRows } = await queries
    .updateTable('secrets')
    .set({
      version: secret.version,
      key_id: secret.keyId,
      envelope: secret.envelope,
      created_at: secret.createdAt,
      fingerprint: orNull(secret.fingerprint),
    })
    .where('tenant', '=', secret.tenant)
    .where('name', '=', secret.name)
    .where('version', '=', secret.version - 1)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

function fromRow(row: Selectable<SecretTable>): SealedSecret {
  return {
    tenant: tenantId(row.tenant),
    name: row.name,
    version: row.version,
    keyId: row.key_id,
    envelope: bytesOf(row.envelope),
    fingerprint: orUndefined(row.fingerprint),
    createdAt: row.created_at,
  };
}
