import type { ColumnDefinitionBuilder, Kysely } from 'kysely';

/** What the others should know of a node beyond where it is. Nodes of an earlier version say nothing of it. */
export async function addNodeFacts(db: Kysely<unknown>): Promise<void> {
  const unknown = (column: ColumnDefinitionBuilder) => column.notNull().defaultTo(0);
  await db.schema.alterTable('nodes').addColumn('policy_since', 'bigint', unknown).execute();
  await db.schema.alterTable('nodes').addColumn('connections', 'integer', unknown).execute();
}

/** Gateways on one store, and which of them owns which task. */
export async function createNodes(db: Kysely<unknown>): Promise<void> {
  const text = (column: ColumnDefinitionBuilder) => column.notNull();
  const number = (column: ColumnDefinitionBuilder) => column.notNull();
  await db.schema
    .createTable('nodes')
    .addColumn('tenant', 'text', text)
    .addColumn('name', 'text', text)
    .addColumn('life', 'bigint', number)
    .addColumn('address', 'text', text)
    .addColumn('version', 'text', text)
    .addColumn('policy_version', 'text', text)
    .addColumn('joined_at', 'bigint', number)
    .addColumn('expires_at', 'bigint', number)
    .addColumn('is_buried', 'integer', number)
    .addPrimaryKeyConstraint('nodes_key', ['tenant', 'name'])
    .execute();
  await db.schema
    .createTable('task_places')
    .addColumn('tenant', 'text', text)
    .addColumn('task', 'text', text)
    .addColumn('family', 'text', text)
    .addColumn('owner', 'text', text)
    .addColumn('fence', 'bigint', number)
    .addColumn('calls', 'bigint', number)
    .addColumn('memory', 'text', text)
    .addPrimaryKeyConstraint('task_places_key', ['tenant', 'task'])
    .execute();
  await db.schema.createIndex('stored_marks_by_time').on('stored_marks').columns(['tenant', 'marked_at']).execute();
  await db.schema.createIndex('task_places_by_family').on('task_places').columns(['tenant', 'family']).execute();
  await db.schema.createIndex('task_places_by_owner').on('task_places').columns(['tenant', 'owner']).execute();
}
