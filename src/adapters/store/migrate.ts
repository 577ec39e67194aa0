import { setTimeout as delay } from 'node:timers/promises';
import { type Kysely, sql } from 'kysely';
import { RemitError } from '../../domain/errors.ts';
import { DATABASE_NOW } from './database-clock.ts';
import { codeOf } from './faults.ts';
import { type Dialect, MIGRATIONS, type Migration, OLDER_GO_ON } from './migrations.ts';
import { assertKnown, MIGRATION_LOCK, readSchemaVersion } from './schema-version.ts';

/** Longest wait for a lock. Whoever uses the table queues up behind the wait: well below the second after which nodes deny. Milliseconds. */
const LOCK_MS = 250;
/** Pause after a lock that was not got: what queued up is served meanwhile. */
const AGAIN_MS = 500;
/** So long it is tried. */
const PATIENCE_MS = 60_000;
/** Longest run of one statement while others serve, so that none is taken to be lost for it (`MEMBER_MS`). */
const BESIDE_OTHERS_MS = 2_000;
/** From which on there are rows of nodes. */
const NODES_SINCE = 12;
/** From which on a version says what it asks of programs. */
const NEEDS_SINCE = 15;

export interface MigrateParts {
  readonly atomically: <T>(work: (db: Kysely<unknown>) => Promise<T>) => Promise<T>;
  readonly dialect: Dialect;
  readonly where: string;
  /** Whether it failed for a lock alone: nothing was done, and the same may succeed in a moment. */
  readonly isLocked: (error: unknown) => boolean;
  readonly migrations?: readonly Migration[];
  readonly olderGoOn?: ReadonlySet<Migration>;
  readonly patienceMs?: number;
}

/**
 * Brings the tables to this version's schema, one gateway at a time. Where rows are there already each step is a transaction of its own, so that a crash
 * leaves one version or the next whole, and no lock is held from one step to another.
 * @throws `ERR_STORE_SCHEMA` where a newer version has been here that asks for more than this one knows, or gateways run that could not go on;
 *   `ERR_STORE_LOCKED` where a lock is not to be had
 */
export async function migrate(parts: MigrateParts): Promise<void> {
  const { where, isLocked, patienceMs = PATIENCE_MS } = parts;
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      if ((await parts.atomically((db) => step(db, parts))) === 'done') return;
    } catch (error) {
      if (!isLocked(error)) throw error;
      if (performance.now() > deadline) {
        throw new RemitError('ERR_STORE_LOCKED', 'the tables could not be changed: another session holds a lock', {
          where,
          hint: 'Find it in pg_stat_activity (a long transaction, or a backup) and end it, or wait for its end; then start again. What was changed stays, and gateways that run go on.',
          cause: error,
        });
      }
      await delay(AGAIN_MS);
    }
  }
}

async function step(db: Kysely<unknown>, parts: MigrateParts): Promise<'done' | 'more'> {
  const { dialect, where, migrations = MIGRATIONS, olderGoOn = OLDER_GO_ON } = parts;
  const isPostgres = dialect.name === 'postgres';
  if (isPostgres) {
    await sql`set local lock_timeout = ${sql.lit(LOCK_MS)}`.execute(db);
    await sql`select pg_advisory_xact_lock(${MIGRATION_LOCK})`.execute(db);
  }
  await db.schema
    .createTable('remit_schema')
    .ifNotExists()
    .addColumn('version', 'integer', (column) => column.primaryKey())
    .execute();
  const found = await readSchemaVersion(db);
  if (found >= migrations.length) {
    await assertKnown(db, migrations.length, where);
    return 'done';
  }
  const running = isPostgres && found >= NODES_SINCE ? await runningNodes(db) : [];
  const upTo = isPostgres && found > 0 ? found + 1 : migrations.length;
  for (const [index, migration] of migrations.entries()) {
    const version = index + 1;
    if (version <= found || version > upTo) continue;
    const isForNewerAlone = !olderGoOn.has(migration);
    if (isForNewerAlone && running.length > 0) throw stillRunning(version, running, where);
    if (running.length > 0) await sql`set local statement_timeout = ${sql.lit(BESIDE_OTHERS_MS)}`.execute(db);
    try {
      await migration(db, dialect);
    } catch (error) {
      throw codeOf(error) === '57014' && running.length > 0 ? tooLong(version, running, where) : error;
    }
    if (version < NEEDS_SINCE) await sql`insert into remit_schema (version) values (${version})`.execute(db);
    else {
      const needs = isForNewerAlone ? version : await neededBefore(db, version);
      await sql`insert into remit_schema (version, needs) values (${version}, ${needs})`.execute(db);
    }
  }
  return upTo === migrations.length ? 'done' : 'more';
}

/** A version that asks for nothing new asks for what the one before did; before that was written down, for that one. */
async function neededBefore(db: Kysely<unknown>, version: number): Promise<number> {
  const { rows } = await sql<{ needs: number | null }>`
    select needs from remit_schema where version = ${version - 1}`.execute(db);
  return rows[0]?.needs ?? version - 1;
}

/** Gateways that say that they are there. All of them know less: whoever knows more would have migrated. */
async function runningNodes(db: Kysely<unknown>): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select name from nodes where is_buried = 0 and expires_at > ${DATABASE_NOW} order by name limit 20`.execute(db);
  return rows.map(({ name }) => name);
}

const stillRunning = (version: number, running: readonly string[], where: string): RemitError =>
  new RemitError(
    'ERR_STORE_SCHEMA',
    `schema ${version} is not for the gateways that run on the store: ${running.join(', ')}`,
    { where, hint: 'Stop all of them, start this version, and then the others with it. Nothing was changed.' },
  );

const tooLong = (version: number, running: readonly string[], where: string): RemitError =>
  new RemitError(
    'ERR_STORE_SCHEMA',
    `schema ${version} takes longer than ${BESIDE_OTHERS_MS} ms to make, and gateways serve: ${running.join(', ')}`,
    { where, hint: 'Stop all of them, start this version, and then the others with it. Nothing was changed.' },
  );
