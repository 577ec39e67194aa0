import { type Kysely, sql } from 'kysely';
import { tenantId } from '../../domain/ids.ts';
import type { Connected, NodeRepository } from '../../seams/shared-store.ts';
import { DATABASE_NOW } from './database-clock.ts';
import { MIGRATIONS } from './migrations.ts';
import type { Atomically, Queries } from './schema.ts';
import { assertKnown, MIGRATION_LOCK } from './schema-version.ts';

/** Rows of nodes that were buried are kept for a day, so that one that comes back learns what became of it. */
const KEPT_MS = 86_400_000;

/** `pg_advisory_xact_lock` key: of two that are to be admitted, the second is told of the first. */
const ADMISSION_LOCK = 0x52656d6a;

/** Nodes, in PostgreSQL. To renew and to bury are one step each on one row: of the two that race, one finds it changed. */
export function makeNodeRepository(queries: Queries, atomically: Atomically, where: string): NodeRepository {
  return {
    async join(node, ttlMs, admit) {
      return await atomically(async (transaction) => {
        // Whoever migrates looks for those who run: who joins meanwhile must have seen the tables as they are then.
        await sql`select pg_advisory_xact_lock_shared(${MIGRATION_LOCK})`.execute(transaction);
        await assertKnown(transaction as unknown as Kysely<unknown>, MIGRATIONS.length, where);
        if (admit !== undefined) {
          await sql`select pg_advisory_xact_lock(${ADMISSION_LOCK})`.execute(transaction);
          const all = await readEverywhere(transaction);
          admit(all.filter(({ tenant, name }) => tenant !== node.tenant || name !== node.name));
        }
        return await insert(transaction, node, ttlMs);
      });
    },

    everywhere: () => readEverywhere(queries),

    async renew({ tenant, name, life, address, policyVersion }, ttlMs) {
      const renewed = await queries
        .updateTable('nodes')
        .set({
          expires_at: sql<number>`${DATABASE_NOW} + ${ttlMs}::bigint`,
          address,
          policy_version: policyVersion,
          policy_since: sql<number>`case when policy_version = ${policyVersion} then policy_since else ${DATABASE_NOW} end`,
        })
        .where('tenant', '=', tenant)
        .where('name', '=', name)
        .where('life', '=', life)
        .where('is_buried', '=', 0)
        .returning(DATABASE_NOW.as('now'))
        .executeTakeFirst();
      if (renewed !== undefined) return renewed.now;
      const row = await queries
        .selectFrom('nodes')
        .select('life')
        .where('tenant', '=', tenant)
        .where('name', '=', name)
        .executeTakeFirst();
      return row === undefined || row.life === life ? 'buried' : 'replaced';
    },

    async leave({ tenant, name, life }) {
      await queries
        .updateTable('nodes')
        .set({ is_buried: 1 })
        .where('tenant', '=', tenant)
        .where('name', '=', name)
        .where('life', '=', life)
        .execute();
    },

    async list(tenant) {
      const rows = await queries
        .selectFrom('nodes')
        .selectAll()
        .select(DATABASE_NOW.as('now'))
        .where('tenant', '=', tenant)
        .where('is_buried', '=', 0)
        .orderBy('name')
        .execute();
      return rows.map((row) => ({
        tenant: tenantId(row.tenant),
        name: row.name,
        life: row.life,
        address: row.address,
        version: row.version,
        policyVersion: row.policy_version,
        joinedAt: row.joined_at,
        expiresAt: row.expires_at,
        connections: row.connections,
        joinedMs: row.now - row.joined_at,
        // A node of an earlier version does not say since when.
        policyMs: row.now - Math.max(row.policy_since, row.joined_at),
        leftMs: row.expires_at - row.now,
      }));
    },

    async bury(tenant) {
      await queries
        .deleteFrom('nodes')
        .where('tenant', '=', tenant)
        .where('is_buried', '=', 1)
        .where('expires_at', '<', sql<number>`${DATABASE_NOW} - ${KEPT_MS}::bigint`)
        .execute();
      const rows = await queries
        .updateTable('nodes')
        .set({ is_buried: 1 })
        .where('tenant', '=', tenant)
        .where('is_buried', '=', 0)
        .where('expires_at', '<=', DATABASE_NOW)
        .returning('name')
        .execute();
      return rows.map(({ name }) => name);
    },
  };
}

async function readEverywhere(queries: Queries): Promise<Connected[]> {
  const rows = await queries
    .selectFrom('nodes')
    .select(['tenant', 'name', 'connections'])
    .where('is_buried', '=', 0)
    .where('expires_at', '>', DATABASE_NOW)
    .orderBy('tenant')
    .orderBy('name')
    .execute();
  return rows.map(({ tenant, name, connections }) => ({ tenant: tenantId(tenant), name, connections }));
}

async function insert(
  queries: Queries,
  { tenant, name, address, version, policyVersion, connections }: Parameters<NodeRepository['join']>[0],
  ttlMs: number,
): Promise<number> {
  const { life } = await queries
    .insertInto('nodes')
    .values({
      tenant,
      name,
      life: 1,
      address,
      version,
      policy_version: policyVersion,
      joined_at: DATABASE_NOW,
      expires_at: sql<number>`${DATABASE_NOW} + ${ttlMs}::bigint`,
      is_buried: 0,
      policy_since: DATABASE_NOW,
      connections,
    })
    .onConflict((conflict) =>
      conflict.columns(['tenant', 'name']).doUpdateSet((column) => ({
        life: sql<number>`nodes.life + 1`,
        address: column.ref('excluded.address'),
        version: column.ref('excluded.version'),
        policy_version: column.ref('excluded.policy_version'),
        joined_at: column.ref('excluded.joined_at'),
        expires_at: column.ref('excluded.expires_at'),
        is_buried: 0,
        policy_since: column.ref('excluded.policy_since'),
        connections: column.ref('excluded.connections'),
      })),
    )
    .returning('life')
    .executeTakeFirstOrThrow();
  return life;
}
