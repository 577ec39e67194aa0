import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openPostgres, type PostgresOptions } from '../../src/adapters/store/open-postgres.ts';
import { isRemitError } from '../../src/domain/errors.ts';
import { taskId } from '../../src/domain/ids.ts';
import type { Store } from '../../src/seams/store.ts';
import { storeSuite } from '../suites/store-suite.ts';
import { type EmbeddedPostgres, startPostgres } from '../support/embedded-postgres.ts';
import { ACME, NOW, sampleSecret, sampleTask } from './samples.ts';

let server: EmbeddedPostgres;
let databases = 0;

beforeAll(async () => {
  server = await startPostgres({ fsync: false });
});
afterAll(async () => {
  await server.stop();
});

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function run(url: string, sql: string): Promise<void> {
  const client = await connect(url);
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

/** A fresh database and the stores on it. */
async function makeDatabase() {
  const name = `store_${++databases}`;
  await run(server.url('postgres'), `CREATE DATABASE ${name}`);
  const url = server.url(name);
  const stores: Store[] = [];
  const open = async (options: Partial<PostgresOptions> = {}) => {
    const store = await openPostgres({ url, lockMs: 1_500, ...options });
    stores.push(store);
    return store;
  };
  /** The database goes with the server. */
  const close = async () => {
    for (const store of stores) await store.close();
  };
  return { url, open, close };
}

storeSuite('PostgreSQL', async () => {
  const { url, open, close } = await makeDatabase();
  return {
    store: await open(),
    openAnother: () => open(),
    lock: async () => {
      const client = await connect(url);
      await client.query('BEGIN; LOCK TABLE tasks, leases, secrets IN ACCESS EXCLUSIVE MODE');
      return async () => {
        await client.query('ROLLBACK');
        await client.end();
      };
    },
    claimSchemaVersion: (version) => run(url, `INSERT INTO remit_schema (version) VALUES (${version})`),
    close,
  };
});

describe('PostgreSQL database', () => {
  test('gateways that start together on an empty database make the tables once', async () => {
    const { open, close } = await makeDatabase();
    const [first, ...others] = await Promise.all([open(), open(), open(), open()]);
    await first.tasks.insert(sampleTask());
    for (const other of others) expect(await other.tasks.list(ACME)).toEqual([sampleTask()]);
    await close();
  });

  test('D1 a full disk refuses the write and everything that belongs to it', async () => {
    const { url, open, close } = await makeDatabase();
    const store = await open();
    await store.tasks.insert(sampleTask());
    await run(
      url,
      `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
       CREATE TRIGGER full_disk BEFORE INSERT ON secrets EXECUTE FUNCTION full_disk()`,
    );
    const full = { code: 'ERR_STORE_FULL', hint: expect.any(String), where: expect.stringContaining('127.0.0.1:') };
    await expect(store.secrets.put(sampleSecret())).rejects.toMatchObject(full);
    const undone = store.transaction(async ({ tasks, secrets }) => {
      await tasks.end(ACME, taskId('tsk_one'), 'revoked', NOW);
      await secrets.put(sampleSecret());
    });
    await expect(undone).rejects.toMatchObject(full);
    expect(await store.tasks.get(ACME, taskId('tsk_one'))).toEqual(sampleTask());
    await close();
  });

  test('a session that the server ends fails once, in the middle of a transaction too, and the store goes on', async () => {
    const { url, open, close } = await makeDatabase();
    const store = await open({ connections: 1 });
    const endSessions = () =>
      run(
        url,
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'remit' AND datname = current_database()`,
      );
    const cut = store.transaction(async ({ tasks }) => {
      await tasks.insert(sampleTask());
      await endSessions();
      await tasks.list(ACME);
    });
    await expect(cut).rejects.toMatchObject({ code: 'ERR_STORE_UNREACHABLE' });
    expect(await store.tasks.list(ACME)).toEqual([]);
    const cutBeforeCommit = store.transaction(async ({ tasks }) => {
      await tasks.insert(sampleTask());
      await endSessions();
    });
    await expect(cutBeforeCommit).rejects.toMatchObject({ code: 'ERR_STORE_UNREACHABLE' });
    expect(await store.tasks.list(ACME)).toEqual([]);
    await close();
  });

  test('a server that hangs is refused within the bound, and its connection is not used again', async () => {
    const { url, open, close } = await makeDatabase();
    const store = await open({ connections: 1, statementMs: 200 });
    const client = await connect(url);
    const { rows } = await client.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE application_name = 'remit' AND datname = current_database()`,
    );
    await client.end();
    const [backend] = rows;
    if (backend === undefined) throw new Error('the store has no session');
    process.kill(backend.pid, 'SIGSTOP');
    try {
      const started = performance.now();
      const stuck = store.transaction(({ tasks }) => tasks.insert(sampleTask()));
      await expect(stuck).rejects.toMatchObject({ code: 'ERR_STORE_UNREACHABLE' });
      expect(performance.now() - started).toBeLessThan(8_000);
      await store.tasks.insert(sampleTask({ id: taskId('tsk_two') }));
    } finally {
      process.kill(backend.pid, 'SIGCONT');
    }
    expect((await store.tasks.list(ACME)).map(({ id }) => id)).toEqual(['tsk_two']);
    await close();
  });

  test('L1 a commit waits for the disk, whatever the database’s default is', async () => {
    const { url, open, close } = await makeDatabase();
    await run(url, `ALTER DATABASE ${new URL(url).pathname.slice(1)} SET synchronous_commit = off`);
    const store = await open();
    await run(
      url,
      `CREATE TABLE seen (setting text);
       CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$;
       CREATE TRIGGER note BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION note()`,
    );
    await store.tasks.insert(sampleTask());
    const client = await connect(url);
    expect((await client.query('SELECT setting FROM seen')).rows).toEqual([{ setting: 'on' }]);
    await client.end();
    await close();
  });

  test('a wrong password, a missing database and a wrong address are unreachable, and no message holds the password', async () => {
    const password = 'correct-horse-battery';
    const wrong = [
      `postgres://postgres:${password}@127.0.0.1:${server.port}/postgres`,
      server.url('no_such_database'),
      `postgres://postgres:${password}@127.0.0.1:1/postgres`,
      `mysql://root:${password}@127.0.0.1/x`,
      `postgres://root:${password}@:not a url`,
      // Not percent-encoded: what follows the first such character would be host, port or database.
      `postgres://root:12/${password}@127.0.0.1:${server.port}/postgres`,
      `postgres://root:12#${password}@127.0.0.1:${server.port}/postgres`,
      `postgres://root:12?${password}@127.0.0.1:${server.port}/postgres`,
      `postgres://root:x@${password}/y@127.0.0.1:${server.port}/postgres`,
    ];
    for (const url of wrong) {
      const error = await openPostgres({ url, connectMs: 2_000 }).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      if (!isRemitError(error, 'ERR_STORE_UNREACHABLE')) throw new Error(`${url} gave ${String(error)}`);
      expect(error.hint).toEqual(expect.any(String));
      const text = [error.message, error.where, error.hint, error.stack, JSON.stringify(error.cause)].join('\n');
      expect(text).not.toContain(password);
      expect(text).not.toContain(server.password);
    }
  });

  test('an error carries no row of the database', async () => {
    const { url, open, close } = await makeDatabase();
    const store = await open();
    await run(url, `ALTER TABLE tasks ADD CONSTRAINT never CHECK (purpose <> 'canary-4711')`);
    const error = await store.tasks.insert(sampleTask({ purpose: 'canary-4711' })).catch((thrown: unknown) => thrown);
    if (!isRemitError(error, 'ERR_INTERNAL')) throw new Error(`gave ${String(error)}`);
    const cause = error.cause as Error;
    expect(JSON.stringify({ ...error, ...cause, texts: [error.stack, cause.stack, cause.message] })).not.toContain(
      'canary-4711',
    );
    await close();
  });

  test('D1 a server that is gone is unreachable within the bound, for statements, transactions and opening', async () => {
    const own = await startPostgres({ fsync: false });
    const store = await openPostgres({ url: own.url('postgres'), connectMs: 2_000 });
    try {
      await store.tasks.insert(sampleTask());
      await own.stop();
      const started = performance.now();
      const unreachable = {
        code: 'ERR_STORE_UNREACHABLE',
        where: `127.0.0.1:${own.port}/postgres`,
        hint: expect.any(String),
      };
      await expect(store.tasks.insert(sampleTask())).rejects.toMatchObject(unreachable);
      await expect(store.tasks.get(ACME, taskId('tsk_one'))).rejects.toMatchObject(unreachable);
      await expect(store.transaction(async () => 'never')).rejects.toMatchObject(unreachable);
      await expect(openPostgres({ url: own.url('postgres'), connectMs: 2_000 })).rejects.toMatchObject(unreachable);
      expect(performance.now() - started).toBeLessThan(10_000);
    } finally {
      await store.close();
      await own.stop();
    }
  });
});
