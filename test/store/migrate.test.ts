import { Kysely, PostgresDialect, sql } from 'kysely';
import { Client, Pool } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type MigrateParts, migrate } from '../../src/adapters/store/migrate.ts';
import { MIGRATIONS, type Migration } from '../../src/adapters/store/migrations.ts';
import { openPostgres } from '../../src/adapters/store/open-postgres.ts';
import { diagnosePostgres } from '../../src/adapters/store/postgres-faults.ts';
import type { Store } from '../../src/seams/store.ts';
import { type EmbeddedPostgres, startPostgres } from '../support/embedded-postgres.ts';
import { ACME, sampleTask } from './samples.ts';

/** A newer version beside the one that is here, on a real PostgreSQL: the same migrations, and one more. */
let server: EmbeddedPostgres;
let databases = 0;
let url = '';
let store: Store;
let db: Kysely<unknown>;
let client: Client;

beforeAll(async () => {
  server = await startPostgres({ fsync: false });
});
afterAll(async () => {
  await server.stop();
});
beforeEach(async () => {
  const name = `migrated_${++databases}`;
  const admin = new Client({ connectionString: server.url('postgres') });
  await admin.connect();
  await admin.query(`create database ${name}`);
  await admin.end();
  url = server.url(name);
  store = await openPostgres({ url });
  db = new Kysely({ dialect: new PostgresDialect({ pool: new Pool({ connectionString: url }) }) });
  client = new Client({ connectionString: url });
  await client.connect();
});
afterEach(async () => {
  await store.close();
  await db.destroy();
  await client.end();
});

const addsColumn: Migration = async (tables) => {
  await tables.schema.alterTable('tasks').addColumn('mood', 'text').execute();
};
const makesTable: Migration = async (tables) => {
  await tables.schema.createTable('moods').addColumn('mood', 'text').execute();
};

const migrateTo = (
  migrations: readonly Migration[],
  { olderGoOn = [], patienceMs }: { olderGoOn?: readonly Migration[]; patienceMs?: number } = {},
): Promise<void> =>
  migrate({
    atomically: (work) => db.transaction().execute(work),
    dialect: { name: 'postgres', bytes: 'bytea' },
    where: 'here',
    isLocked: (error) => diagnosePostgres(error).code === 'ERR_STORE_LOCKED',
    migrations: [...MIGRATIONS, ...migrations],
    olderGoOn: new Set(olderGoOn),
    ...(patienceMs !== undefined && { patienceMs }),
  } satisfies MigrateParts);

const join = (at: Store) =>
  at.shared?.nodes.join(
    { tenant: ACME, name: 'one', address: '', version: '1', policyVersion: 'p', connections: 11 },
    60_000,
  );
const version = async (): Promise<number> =>
  (await client.query('select max(version) as version from remit_schema')).rows[0].version;
const KNOWN = MIGRATIONS.length;

describe('a newer version beside one that runs', () => {
  it('waits for a lock behind a long transaction in short turns: whoever serves is held up for less than a second', async () => {
    await join(store);
    await client.query('begin');
    await client.query('select * from tasks');
    let isOver = false;
    const migrating = migrateTo([addsColumn], { olderGoOn: [addsColumn] }).finally(() => {
      isOver = true;
    });
    const begun = performance.now();
    let longest = 0;
    let calls = 0;
    while (performance.now() - begun < 3_000) {
      const from = performance.now();
      await store.tasks.list(ACME);
      calls += 1;
      longest = Math.max(longest, performance.now() - from);
    }
    expect(isOver).toBe(false);
    expect(longest).toBeGreaterThan(100);
    expect(longest).toBeLessThan(1_000);
    expect(calls).toBeGreaterThan(10);
    await client.query('commit');
    await migrating;
    expect(await version()).toBe(KNOWN + 1);
    await store.tasks.insert(sampleTask());
    expect(await store.tasks.list(ACME)).toEqual([sampleTask()]);
  });

  it('D1 gives up after a bound where the lock is never to be had, and changes nothing', async () => {
    await client.query('begin');
    await client.query('select * from tasks');
    await expect(migrateTo([addsColumn], { patienceMs: 600 })).rejects.toMatchObject({
      code: 'ERR_STORE_LOCKED',
      where: 'here',
      hint: expect.stringContaining('pg_stat_activity'),
    });
    await client.query('commit');
    expect(await version()).toBe(KNOWN);
  });

  it('makes one step after the other, each whole: what fails leaves the ones before', async () => {
    const fails: Migration = async (tables) => {
      await makesTable(tables, { name: 'postgres', bytes: 'bytea' });
      throw new Error('killed');
    };
    await expect(migrateTo([addsColumn, fails])).rejects.toThrow('killed');
    expect(await version()).toBe(KNOWN + 1);
    expect((await client.query(`select to_regclass('moods') as found`)).rows[0].found).toBeNull();
    await migrateTo([addsColumn, makesTable]);
    expect(await version()).toBe(KNOWN + 2);
  });

  it('lets one of several that start together make them, and the others wait', async () => {
    await Promise.all([1, 2, 3].map(() => migrateTo([addsColumn, makesTable])));
    expect(await version()).toBe(KNOWN + 2);
  });

  it('D1 makes no tables that those who run could not go on with, and names them', async () => {
    await join(store);
    await expect(migrateTo([addsColumn])).rejects.toMatchObject({
      code: 'ERR_STORE_SCHEMA',
      message: expect.stringContaining('one'),
      hint: expect.stringContaining('Stop all of them'),
    });
    expect(await version()).toBe(KNOWN);
    await store.shared?.nodes.leave({ tenant: ACME, name: 'one', life: 1 });
    await migrateTo([addsColumn]);
    expect(await version()).toBe(KNOWN + 1);
  });

  it('makes nothing beside others that takes long enough for them to be taken to be lost', async () => {
    const takesLong: Migration = async (tables) => {
      await sql`select pg_sleep(2.3)`.execute(tables);
    };
    await join(store);
    await expect(migrateTo([takesLong], { olderGoOn: [takesLong] })).rejects.toMatchObject({
      code: 'ERR_STORE_SCHEMA',
      message: expect.stringContaining('takes longer than 2000 ms'),
    });
    expect(await version()).toBe(KNOWN);
    await store.shared?.nodes.leave({ tenant: ACME, name: 'one', life: 1 });
    await migrateTo([takesLong], { olderGoOn: [takesLong] });
    expect(await version()).toBe(KNOWN + 1);
  });
});

describe('an older version that is started on newer tables', () => {
  it('goes on where each of the newer steps says that it may', async () => {
    await migrateTo([addsColumn, makesTable], { olderGoOn: [addsColumn, makesTable] });
    const older = await openPostgres({ url });
    expect(await join(older)).toBe(1);
    await older.tasks.insert(sampleTask());
    await older.close();
  });

  it('D1 is refused where one of them does not, and told which version it takes', async () => {
    await migrateTo([addsColumn, makesTable], { olderGoOn: [makesTable] });
    await expect(openPostgres({ url })).rejects.toMatchObject({
      code: 'ERR_STORE_SCHEMA',
      message: `the store has schema ${KNOWN + 2}, this version knows ${KNOWN}`,
      hint: expect.stringContaining(`knows schema ${KNOWN + 1}`),
    });
  });

  it('D1 does not join the others on them, where it was open when they were made', async () => {
    await migrateTo([addsColumn]);
    await expect(join(store)).rejects.toMatchObject({ code: 'ERR_STORE_SCHEMA' });
    expect((await client.query('select name from nodes')).rows).toEqual([]);
  });

  it('D1 does not join while they are being made: whoever makes them would not know of it', async () => {
    await db.transaction().execute(async (tables) => {
      await sql`select pg_advisory_xact_lock(${0x52656d69})`.execute(tables);
      const joining = join(store);
      const settled = await Promise.race([
        joining?.then(() => 'joined'),
        new Promise((resolve) => setTimeout(() => resolve('waits'), 300)),
      ]);
      expect(settled).toBe('waits');
      await expect(joining).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED' });
    });
    expect(await join(store)).toBe(1);
  });
});
