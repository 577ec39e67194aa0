import type { ColumnDefinitionBuilder, Kysely } from 'kysely';

/** Policies that nodes have put in force, the newest with what it says. */
export async function createPolicySets(db: Kysely<unknown>): Promise<void> {
  const text = (column: ColumnDefinitionBuilder) => column.notNull();
  await db.schema
    .createTable('policy_sets')
    .addColumn('tenant', 'text', text)
    .addColumn('position', 'bigint', (column) => column.notNull())
    .addColumn('digest', 'text', text)
    .addColumn('sealed', 'text')
    .addPrimaryKeyConstraint('policy_sets_key', ['tenant', 'position'])
    .execute();
}
