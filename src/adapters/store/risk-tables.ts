import type { ColumnDefinitionBuilder, Kysely } from 'kysely';

/** Risk of those whom several gateways know, and when anything was used first, by time. */
export async function createRiskScores(db: Kysely<unknown>): Promise<void> {
  const text = (column: ColumnDefinitionBuilder) => column.notNull();
  const number = (column: ColumnDefinitionBuilder) => column.notNull();
  await db.schema
    .createTable('risk_scores')
    .addColumn('tenant', 'text', text)
    .addColumn('subject', 'text', text)
    .addColumn('score', 'double precision', number)
    .addColumn('at', 'bigint', number)
    .addColumn('position', 'bigint', number)
    .addColumn('cleared_at', 'bigint', number)
    .addPrimaryKeyConstraint('risk_scores_key', ['tenant', 'subject'])
    .execute();
  await db.schema.createIndex('risk_scores_by_position').on('risk_scores').columns(['tenant', 'position']).execute();
  await db.schema
    .createTable('risk_heads')
    .addColumn('tenant', 'text', (column) => column.notNull().primaryKey())
    .addColumn('position', 'bigint', number)
    .execute();
  await db.schema
    .createTable('risk_causes')
    .addColumn('tenant', 'text', text)
    .addColumn('cause', 'text', text)
    .addColumn('at', 'bigint', number)
    .addPrimaryKeyConstraint('risk_causes_key', ['tenant', 'cause'])
    .execute();
  await db.schema.createIndex('risk_history_by_time').on('risk_history').columns(['tenant', 'first_at']).execute();
}
