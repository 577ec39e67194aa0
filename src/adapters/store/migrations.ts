import { type ColumnDefinitionBuilder, type Kysely, sql } from 'kysely';
import { addNodeFacts, createNodes } from './node-tables.ts';
import { createPaceCounts } from './pace-tables.ts';
import { createPolicySets } from './policy-tables.ts';
import { createRiskScores } from './risk-tables.ts';
import { addSchemaNeeds } from './schema-version.ts';
import { createTrailHeads } from './trail-tables.ts';

/** What the two databases name differently. */
export interface Dialect {
  readonly name: 'sqlite' | 'postgres';
  readonly bytes: 'blob' | 'bytea';
}

export type Migration = (db: Kysely<unknown>, dialect: Dialect) => Promise<void>;

/** In order; the position + 1 is the schema version. A published one is never changed: append. */
export const MIGRATIONS: readonly Migration[] = [
  createTables,
  createPins,
  addLeaseModes,
  createRevocations,
  addLeaseClaims,
  addSigningKeyPurpose,
  addFingerprints,
  createApprovals,
  createRiskHistory,
  createStoredMarks,
  createCanaries,
  createNodes,
  createTrailHeads,
  addNodeFacts,
  addSchemaNeeds,
  createPaceCounts,
  createRiskScores,
  createPolicySets,
];

/**
 * Those after which a program that does not know them may go on, started anew or not: they add what it need not fill in, and change no meaning. Beside
 * one that is not named here no older gateway serves: it is refused, and while one runs the migration is.
 */
export const OLDER_GO_ON: ReadonlySet<Migration> = new Set([
  createTrailHeads,
  addNodeFacts,
  addSchemaNeeds,
  createPaceCounts,
  createRiskScores,
  createPolicySets,
]);

/**
 * No foreign key from leases to tasks: a lease must stay revocable whatever became of its task (guarantee L2).
 * Keys start with the tenant, as every query does (guarantee I1).
 */
async function createTables(db: Kysely<unknown>, { bytes }: Dialect): Promise<void> {
  await db.schema
    .createTable('tasks')
    .addColumn('tenant', 'text', (column) => column.notNull())
    .addColumn('id', 'text', (column) => column.notNull())
    .addColumn('agent', 'text', (column) => column.notNull())
    .addColumn('user_issuer', 'text')
    .addColumn('user_subject', 'text')
    .addColumn('user_groups', 'text')
    .addColumn('template', 'text', (column) => column.notNull())
    .addColumn('purpose', 'text', (column) => column.notNull())
    .addColumn('action_classes', 'text', (column) => column.notNull())
    .addColumn('tools', 'text', (column) => column.notNull())
    .addColumn('resources', 'text', (column) => column.notNull())
    .addColumn('calls', 'bigint', (column) => column.notNull())
    .addColumn('parent', 'text')
    .addColumn('trace', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('end_reason', 'text')
    .addColumn('started_at', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .addColumn('ended_at', 'bigint')
    .addPrimaryKeyConstraint('tasks_key', ['tenant', 'id'])
    .execute();
  await db.schema.createIndex('tasks_by_state').on('tasks').columns(['tenant', 'state']).execute();

  await db.schema
    .createTable('leases')
    .addColumn('tenant', 'text', (column) => column.notNull())
    .addColumn('id', 'text', (column) => column.notNull())
    .addColumn('task', 'text', (column) => column.notNull())
    .addColumn('agent', 'text', (column) => column.notNull())
    .addColumn('connector', 'text', (column) => column.notNull())
    .addColumn('issuer', 'text', (column) => column.notNull())
    .addColumn('tag', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('revocation', 'text', (column) => column.notNull())
    .addColumn('scope', 'text', (column) => column.notNull())
    .addColumn('intended_at', 'bigint', (column) => column.notNull())
    .addColumn('issue_deadline', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .addColumn('native_expires_at', 'bigint')
    .addColumn('ended_at', 'bigint')
    .addColumn('end_reason', 'text')
    .addColumn('attempts', 'bigint', (column) => column.notNull())
    .addColumn('last_error', 'text')
    .addPrimaryKeyConstraint('leases_key', ['tenant', 'id'])
    .execute();
  await db.schema.createIndex('leases_by_task').on('leases').columns(['tenant', 'task']).execute();
  await db.schema.createIndex('leases_by_state').on('leases').columns(['tenant', 'state']).execute();

  await db.schema
    .createTable('secrets')
    .addColumn('tenant', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('version', 'bigint', (column) => column.notNull())
    .addColumn('key_id', 'text', (column) => column.notNull())
    .addColumn('envelope', bytes, (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('secrets_key', ['tenant', 'name'])
    .execute();

  await db.schema
    .createTable('task_keys')
    .addColumn('tenant', 'text', (column) => column.notNull())
    .addColumn('task', 'text', (column) => column.notNull())
    .addColumn('key_id', 'text', (column) => column.notNull())
    .addColumn('envelope', bytes, (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('task_keys_key', ['tenant', 'task'])
    .execute();

  await db.schema
    .createTable('signing_keys')
    .addColumn('kid', 'text', (column) => column.notNull().primaryKey())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('key_id', 'text', (column) => column.notNull())
    .addColumn('envelope', bytes, (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('retires_at', 'bigint')
    .execute();
  // Two nodes that rotate at once cannot leave two current keys.
  await sql`create unique index signing_keys_one_current on signing_keys (state) where state = 'current'`.execute(db);

  await db.schema
    .createTable('oauth')
    .addColumn('model', 'text', (column) => column.notNull())
    .addColumn('id', 'text', (column) => column.notNull())
    .addColumn('payload', 'text', (column) => column.notNull())
    .addColumn('grant_id', 'text')
    .addColumn('uid', 'text')
    .addColumn('expires_at', 'bigint')
    .addColumn('consumed_at', 'bigint')
    .addPrimaryKeyConstraint('oauth_key', ['model', 'id'])
    .execute();
  await db.schema.createIndex('oauth_by_grant').on('oauth').columns(['model', 'grant_id']).execute();
  await db.schema.createIndex('oauth_by_uid').on('oauth').columns(['model', 'uid']).execute();
  await db.schema.createIndex('oauth_by_expiry').on('oauth').column('expires_at').execute();

  await db.schema
    .createTable('inventory_agents')
    .addColumn('tenant', 'text', (column) => column.notNull())
    .addColumn('id', 'text', (column) => column.notNull())
    .addColumn('owner', 'text', (column) => column.notNull())
    .addColumn('environment', 'text', (column) => column.notNull())
    .addColumn('zone', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('inventory_agents_key', ['tenant', 'id'])
    .execute();

  await db.schema
    .createTable('inventory_connectors')
    .addColumn('tenant', 'text', (column) => column.notNull())
    .addColumn('id', 'text', (column) => column.notNull())
    .addColumn('owner', 'text', (column) => column.notNull())
    .addColumn('environment', 'text', (column) => column.notNull())
    .addColumn('zone', 'text', (column) => column.notNull())
    .addColumn('transport', 'text', (column) => column.notNull())
    .addColumn('credential', 'text', (column) => column.notNull())
    .addColumn('exception_owner', 'text')
    .addColumn('exception_reason', 'text')
    .addColumn('exception_expires', 'text')
    .addPrimaryKeyConstraint('inventory_connectors_key', ['tenant', 'id'])
    .execute();

  await db.schema
    .createTable('inventory_tools')
    .addColumn('tenant', 'text', (column) => column.notNull())
    .addColumn('connector', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('fingerprint', 'text', (column) => column.notNull())
    .addColumn('definition', 'text', (column) => column.notNull())
    .addColumn('status', 'text', (column) => column.notNull())
    .addColumn('action_class', 'text')
    .addColumn('approved_by', 'text')
    .addColumn('first_seen_at', 'bigint', (column) => column.notNull())
    .addColumn('last_seen_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('inventory_tools_key', ['tenant', 'connector', 'name'])
    .execute();

  await db.schema
    .createTable('inventory_grants')
    .addColumn('tenant', 'text', (column) => column.notNull())
    .addColumn('agent', 'text', (column) => column.notNull())
    .addColumn('template', 'text', (column) => column.notNull())
    .addColumn('template_owner', 'text', (column) => column.notNull())
    .addColumn('purpose', 'text', (column) => column.notNull())
    .addColumn('action_classes', 'text', (column) => column.notNull())
    .addColumn('tools', 'text', (column) => column.notNull())
    .addColumn('resources', 'text', (column) => column.notNull())
    .addColumn('calls', 'bigint', (column) => column.notNull())
    .addColumn('max_duration_seconds', 'bigint', (column) => column.notNull())
    .addColumn('requires_user', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('inventory_grants_key', ['tenant', 'agent', 'template'])
    .execute();
}

/** The definitions that owners approved, whole: what a change is compared with. */
async function createPins(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('inventory_pins')
    .addColumn('tenant', 'text', (column) => column.notNull())
    .addColumn('connector', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('fingerprint', 'text', (column) => column.notNull())
    .addColumn('definition', 'text', (column) => column.notNull())
    .addColumn('pinned_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('inventory_pins_key', ['tenant', 'connector', 'name'])
    .execute();
}

/** What a lease is for, what it opens, and what revoking it needs beyond its tag. */
async function addLeaseModes(db: Kysely<unknown>, { bytes }: Dialect): Promise<void> {
  const text = (name: string, value: string) =>
    db.schema.alterTable('leases').addColumn(name, 'text', (column) => column.notNull().defaultTo(value));
  await text('mode', 'task').execute();
  await text('downstream', '').execute();
  await db.schema.alterTable('leases').addColumn('tool', 'text').execute();
  await db.schema.alterTable('leases').addColumn('handle_key_id', 'text').execute();
  await db.schema.alterTable('leases').addColumn('handle_envelope', sql.raw(bytes)).execute();
}

/** The revocation log, and how much of it was known where a task was admitted. */
async function createRevocations(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('revocations')
    .addColumn('tenant', 'text', (column) => column.notNull())
    .addColumn('position', 'bigint', (column) => column.notNull())
    .addColumn('at', 'bigint', (column) => column.notNull())
    .addColumn('by', 'text', (column) => column.notNull())
    .addColumn('reason', 'text', (column) => column.notNull())
    .addColumn('action', 'text', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('subject', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('revocations_key', ['tenant', 'position'])
    .execute();
  await db.schema
    .createIndex('revocations_by_subject')
    .on('revocations')
    .columns(['tenant', 'kind', 'subject', 'position'])
    .execute();
  await db.schema
    .createTable('revocation_heads')
    .addColumn('tenant', 'text', (column) => column.notNull().primaryKey())
    .addColumn('position', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema
    .alterTable('tasks')
    .addColumn('log_position', 'bigint', (column) => column.notNull().defaultTo(0))
    .execute();
}

/** Who answers for a lease, and until when. Only what has not ended is ever swept, and an index on that alone stays small. */
async function addLeaseClaims(db: Kysely<unknown>): Promise<void> {
  const count = (name: string) =>
    db.schema.alterTable('leases').addColumn(name, 'bigint', (column) => column.notNull().defaultTo(0));
  await count('uses').execute();
  await count('claimed_until').execute();
  await count('fence').execute();
  await db.schema.alterTable('leases').addColumn('failing_since', 'bigint').execute();
  await db.schema
    .alterTable('leases')
    .addColumn('claimed_by', 'text', (column) => column.notNull().defaultTo(''))
    .execute();
  await sql`create index leases_due on leases (tenant, claimed_until) where state <> 'ended'`.execute(db);
}

/** Keys that sign for connectors are none that sign task tokens: each purpose has its own current one. */
async function addSigningKeyPurpose(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('signing_keys')
    .addColumn('purpose', 'text', (column) => column.notNull().defaultTo('task_token'))
    .execute();
  await db.schema.dropIndex('signing_keys_one_current').execute();
  await sql`create unique index signing_keys_one_current_each on signing_keys (purpose, state) where state = 'current'`.execute(
    db,
  );
}

/** Equal secrets are seen by a keyed fingerprint; rotations of the vault's key go by the key of each row. */
async function addFingerprints(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('secrets').addColumn('fingerprint', 'text').execute();
  await db.schema.createIndex('secrets_by_fingerprint').on('secrets').column('fingerprint').execute();
  await db.schema.createIndex('task_keys_by_key').on('task_keys').columns(['tenant', 'key_id']).execute();
}

/** Held calls, and what people said of them. One open approval a call: whoever repeats it asks nothing new. */
async function createApprovals(db: Kysely<unknown>, { bytes }: Dialect): Promise<void> {
  const texts = ['task', 'trace', 'span', 'agent', 'actors', 'workload', 'connector', 'tool', 'method', 'call_key'];
  const more = ['tool_key', 'policies', 'reason', 'policy_version', 'step_up', 'state', 'scope'];
  const numbers = ['uses_left', 'log_position', 'requested_at', 'expires_at'];
  let table = db.schema
    .createTable('approvals')
    .addColumn('tenant', 'text', (column) => column.notNull())
    .addColumn('id', 'text', (column) => column.notNull())
    .addColumn('user_key', 'text');
  for (const name of [...texts, ...more]) table = table.addColumn(name, 'text', (column) => column.notNull());
  for (const name of numbers) table = table.addColumn(name, 'bigint', (column) => column.notNull());
  await table
    .addColumn('decided_at', 'bigint')
    .addColumn('ended_at', 'bigint')
    .addColumn('end_reason', 'text')
    .addColumn('key_id', 'text')
    .addColumn('envelope', sql.raw(bytes))
    .addPrimaryKeyConstraint('approvals_key', ['tenant', 'id'])
    .execute();
  await sql`create unique index approvals_one_open on approvals (tenant, call_key) where state in ('pending', 'approved')`.execute(
    db,
  );
  await db.schema
    .createIndex('approvals_by_tool')
    .on('approvals')
    .columns(['tenant', 'tool_key', 'expires_at'])
    .execute();
  await db.schema.createIndex('approvals_by_task').on('approvals').columns(['tenant', 'task']).execute();
  await db.schema.createIndex('approvals_by_time').on('approvals').columns(['tenant', 'requested_at']).execute();
  await db.schema
    .createTable('approval_verdicts')
    .addColumn('tenant', 'text', (column) => column.notNull())
    .addColumn('approval', 'text', (column) => column.notNull())
    .addColumn('approver', 'text', (column) => column.notNull())
    .addColumn('via', 'text', (column) => column.notNull())
    .addColumn('verdict', 'text', (column) => column.notNull())
    .addColumn('uses', 'bigint', (column) => column.notNull())
    .addColumn('reason', 'text', (column) => column.notNull())
    .addColumn('terms', 'text', (column) => column.notNull())
    .addColumn('at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('approval_verdicts_key', ['tenant', 'approval', 'approver'])
    .execute();
}

/** What agents and connectors have done before. */
async function createRiskHistory(db: Kysely<unknown>): Promise<void> {
  const text = (column: ColumnDefinitionBuilder) => column.notNull();
  await db.schema
    .createTable('risk_history')
    .addColumn('tenant', 'text', text)
    .addColumn('scope', 'text', text)
    .addColumn('kind', 'text', text)
    .addColumn('value', 'text', text)
    .addColumn('first_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('risk_history_key', ['tenant', 'scope', 'kind', 'value'])
    .execute();
}

/** Labels on what tasks have stored: one row for each set of labels, so that whoever writes at once loses nothing of another's. */
async function createStoredMarks(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('stored_marks')
    .addColumn('tenant', 'text', (column) => column.notNull())
    .addColumn('id', 'text', (column) => column.notNull())
    .addColumn('connector', 'text', (column) => column.notNull())
    .addColumn('names', 'text', (column) => column.notNull())
    .addColumn('labels', 'text', (column) => column.notNull())
    .addColumn('marked_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('stored_marks_key', ['tenant', 'id'])
    .execute();
}

async function createCanaries(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('canaries')
    .addColumn('tenant', 'text', (column) => column.notNull())
    .addColumn('id', 'text', (column) => column.notNull())
    .addColumn('zone', 'text', (column) => column.notNull())
    .addColumn('length', 'bigint', (column) => column.notNull())
    .addColumn('tag', 'bigint', (column) => column.notNull())
    .addColumn('mac', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('created_by', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('canaries_key', ['tenant', 'id'])
    .execute();
}
