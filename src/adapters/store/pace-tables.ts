import type { ColumnDefinitionBuilder, Kysely } from 'kysely';

/** Calls that count against a pace which several gateways share, each row until its time. */
export async function createPaceCounts(db: Kysely<unknown>): Promise<void> {
  const text = (column: ColumnDefinitionBuilder) => column.notNull();
  const number = (column: ColumnDefinitionBuilder) => column.notNull();
  await db.schema
    .createTable('pace_counts')
    .addColumn('tenant', 'text', text)
    .addColumn('pace', 'text', text)
    .addColumn('holder', 'text', text)
    .addColumn('counts_until', 'bigint', number)
    .addColumn('calls', 'bigint', number)
    .addPrimaryKeyConstraint('pace_counts_key', ['tenant', 'pace', 'holder', 'counts_until'])
    .execute();
}
