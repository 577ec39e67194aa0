import { type Kysely, sql } from 'kysely';
import { RemitError } from '../../domain/errors.ts';

/** `pg_advisory_xact_lock` key: two gateways migrate one after the other, and none joins the others meanwhile. */
export const MIGRATION_LOCK = 0x52656d69;

/** What a version of the tables asks of programs: the least schema that they have to know. A row of before says nothing. */
export async function addSchemaNeeds(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('remit_schema').addColumn('needs', 'integer').execute();
}

/** Version of the tables; 0 where there are none. */
export async function readSchemaVersion(db: Kysely<unknown>): Promise<number> {
  const { rows } = await sql<{ version: number | null }>`select max(version) as version from remit_schema`.execute(db);
  return Number(rows[0]?.version ?? 0);
}

/**
 * Whether a program that knows schemas up to `known` may work on tables of a later one.
 * @throws `ERR_STORE_SCHEMA` where one of the later ones does not say so: it would misread rows
 */
export async function assertKnown(db: Kysely<unknown>, known: number, where: string): Promise<void> {
  const found = await readSchemaVersion(db);
  if (found <= known) return;
  const { rows } = await sql<{ needs: number | null }>`
    select needs from remit_schema where version > ${known} and (needs is null or needs > ${known})
    order by needs is null desc, needs desc limit 1`.execute(db);
  const [worst] = rows;
  if (worst === undefined) return;
  throw new RemitError('ERR_STORE_SCHEMA', `the store has schema ${found}, this version knows ${known}`, {
    where,
    hint: `Run the version of Remit that wrote it, or a newer one${worst.needs === null ? '' : `; the oldest that can work on it knows schema ${worst.needs}`}. To go back, restore the store as it was before.`,
  });
}
