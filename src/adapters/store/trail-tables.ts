import type { ColumnDefinitionBuilder, Kysely } from 'kysely';

/** The newest checkpoint of each node's journal. */
export async function createTrailHeads(db: Kysely<unknown>): Promise<void> {
  const text = (column: ColumnDefinitionBuilder) => column.notNull();
  const number = (column: ColumnDefinitionBuilder) => column.notNull();
  await db.schema
    .createTable('trail_heads')
    .addColumn('tenant', 'text', text)
    .addColumn('origin', 'text', text)
    .addColumn('node', 'text', text)
    .addColumn('key', 'text', text)
    .addColumn('size', 'bigint', number)
    .addColumn('checkpoint', 'text', text)
    .addColumn('published_at', 'bigint', number)
    .addColumn('is_superseded', 'integer', number)
    .addPrimaryKeyConstraint('trail_heads_key', ['tenant', 'origin'])
    .execute();
}
