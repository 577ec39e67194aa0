import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createPostgresIssuer, type PostgresIssuerOptions } from '../../src/adapters/issuers/postgres-issuer.ts';
import { isRemitError } from '../../src/domain/errors.ts';
import { agentId, connectorId, newLeaseId, taskId, tenantId } from '../../src/domain/ids.ts';
import { type Lease, leaseTag } from '../../src/domain/lease.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { IssuedCredential, IssueRequest, Issuer } from '../../src/seams/issuer.ts';
import { issuerSuite } from '../suites/issuer-suite.ts';
import { type EmbeddedPostgres, startPostgres } from '../support/embedded-postgres.ts';
import { createShop, runSql } from '../support/shop-database.ts';

const ADMIN_PASSWORD = 'canary-admin-8c1e77';
let server: EmbeddedPostgres;

beforeAll(async () => {
  server = await startPostgres({ fsync: false });
  await createShop(server);
  // Two kinds of admin that are no superuser: one owns the tables, one was given them with grant option.
  await runSql(
    server,
    `CREATE ROLE shop_owner LOGIN CREATEROLE PASSWORD '${ADMIN_PASSWORD}';
     CREATE ROLE shop_granter LOGIN CREATEROLE PASSWORD '${ADMIN_PASSWORD}';
     GRANT SELECT, INSERT, UPDATE ON orders, customers, back_office.salaries TO shop_granter WITH GRANT OPTION;
     GRANT USAGE ON SEQUENCE orders_id_seq TO shop_granter WITH GRANT OPTION;
     GRANT USAGE ON SCHEMA back_office TO shop_granter WITH GRANT OPTION;
     CREATE TABLE back_office.salaries2 (id int, total numeric, secret text);
     CREATE TABLE owned (id serial PRIMARY KEY); ALTER TABLE owned OWNER TO shop_owner;`,
  );
});
afterAll(async () => {
  await server.stop();
});

const ADMINS = {
  superuser: () => ({ adminUser: server.superuser, secret: server.password, table: 'public.orders' }),
  owner: () => ({ adminUser: 'shop_owner', secret: ADMIN_PASSWORD, table: 'public.owned' }),
  'holder of grant options': () => ({ adminUser: 'shop_granter', secret: ADMIN_PASSWORD, table: 'public.orders' }),
};
type Admin = keyof typeof ADMINS;

function options(admin: Admin, more: Partial<PostgresIssuerOptions> = {}): PostgresIssuerOptions {
  const { adminUser, secret } = ADMINS[admin]();
  const adminPassword = async () => new Secret(secret);
  const { host, port } = server;
  const database = 'shop';
  return { host, port, database, adminUser, adminPassword, tls: false, clock: Date.now, random: randomBytes, ...more };
}

async function canLogin(fields: Readonly<Record<string, Secret>>): Promise<boolean> {
  const [user, password] = [fields.username?.reveal() ?? '', fields.password?.reveal() ?? ''];
  return runSql(server, 'SELECT 1', { user, password }).then(
    () => true,
    () => false,
  );
}

async function roleExists(tag: string): Promise<boolean> {
  return (await runSql(server, `SELECT 1 FROM pg_roles WHERE rolname = '${tag}'`)).length > 0;
}

async function closedPort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}

for (const admin of Object.keys(ADMINS) as Admin[]) {
  issuerSuite(`postgres, admin is ${admin}`, async () => ({
    issuer: createPostgresIssuer(options(admin)),
    other: () => createPostgresIssuer(options(admin)),
    clock: Date.now,
    resources: [ADMINS[admin]().table],
    actionClasses: ['read', 'write'],
    canUse: canLogin,
    exists: roleExists,
    broken: [
      createPostgresIssuer(options(admin, { port: await closedPort() })),
      createPostgresIssuer(options(admin, { database: 'no_such_database' })),
      createPostgresIssuer(options(admin, { adminPassword: async () => new Secret('canary-wrong-5521') })),
      createPostgresIssuer(options(admin, { adminPassword: async () => undefined })),
    ],
    secrets: [server.password, ADMIN_PASSWORD, 'canary-wrong-5521'],
    stop: async () => {},
  }));
}

describe('a leased PostgreSQL role', () => {
  let issuer: Issuer;
  const leases: Lease[] = [];
  const clients: Client[] = [];

  beforeAll(() => {
    issuer = createPostgresIssuer(options('superuser'));
  });
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.end().catch(() => {})));
    for (const lease of leases.splice(0)) await issuer.revoke(lease, undefined);
  });
  afterAll(() => issuer.close());

  function requestOf(more: Partial<IssueRequest>): IssueRequest {
    const lease = newLeaseId(randomBytes);
    return {
      lease,
      tenant: tenantId('default'),
      task: taskId('tsk_000000000000000000000001'),
      agent: agentId("it's-an-agent"),
      user: undefined,
      connector: connectorId('shop_db'),
      tool: undefined,
      tag: leaseTag(lease),
      resources: ['public.orders'],
      actionClasses: ['read'],
      expiresAt: Date.now() + 60_000,
      signal: AbortSignal.timeout(10_000),
      ...more,
    };
  }

  async function issue(
    more: Partial<IssueRequest> = {},
    by: Issuer = issuer,
  ): Promise<{ lease: Lease; issued: IssuedCredential }> {
    const request = requestOf(more);
    const lease: Lease = {
      ...request,
      id: request.lease,
      mode: 'task',
      tool: undefined,
      issuer: 'postgres',
      downstream: 'somewhere',
      state: 'active',
      revocation: 'immediate',
      scope: '',
      intendedAt: Date.now(),
      issueDeadline: Date.now(),
      nativeExpiresAt: undefined,
      endedAt: undefined,
      endReason: undefined,
      attempts: 0,
      failingSince: undefined,
      uses: 0,
      claimedBy: '',
      claimedUntil: 0,
      fence: 1,
      lastError: undefined,
    };
    leases.push(lease);
    return { lease, issued: await by.issue(request) };
  }

  async function connect({ fields }: IssuedCredential, database = 'shop'): Promise<Client> {
    const [user, password] = [fields.username?.reveal() ?? '', fields.password?.reveal() ?? ''];
    const client = new Client({ host: server.host, port: server.port, database, user, password });
    client.on('error', () => {});
    clients.push(client);
    await client.connect();
    return client;
  }

  const refused = { code: '42501' };

  it('for read reads its table and nothing else, whatever SQL it is made to run', async () => {
    const client = await connect((await issue()).issued);
    expect((await client.query('SELECT id, total FROM orders')).rows).toHaveLength(2);
    for (const sql of [
      'SELECT * FROM customers',
      'SELECT * FROM totals',
      'SELECT * FROM back_office.salaries',
      'SELECT * FROM pg_catalog.pg_authid',
      'SELECT rolpassword FROM pg_authid',
      'SELECT pg_read_file($$/etc/passwd$$)',
      "COPY orders TO PROGRAM 'true'",
      'INSERT INTO orders (customer) VALUES (3)',
      'UPDATE orders SET total = 0',
      'DELETE FROM orders',
      'TRUNCATE orders',
      'DROP TABLE orders',
      'ALTER TABLE orders ADD x int',
      'GRANT SELECT ON customers TO CURRENT_USER',
      'CREATE TABLE loot (id int)',
      'CREATE SCHEMA loot',
      'CREATE ROLE loot',
      'SET ROLE postgres',
      'SET SESSION AUTHORIZATION postgres',
      'ALTER ROLE CURRENT_USER SUPERUSER',
      "ALTER ROLE CURRENT_USER VALID UNTIL 'infinity'",
    ]) {
      await expect(client.query(sql), sql).rejects.toMatchObject(refused);
    }
  });

  it('for read cannot write by the escape of the known read-only server: COMMIT, then INSERT', async () => {
    const client = await connect((await issue()).issued);
    await client.query('BEGIN TRANSACTION READ ONLY');
    await expect(client.query('COMMIT; INSERT INTO orders (customer) VALUES (66)')).rejects.toMatchObject(refused);
    await client.query('ROLLBACK');
    await client.query('SET default_transaction_read_only = off; SET transaction_read_only = off');
    await expect(client.query('INSERT INTO orders (customer) VALUES (66)')).rejects.toMatchObject(refused);
    expect(await runSql(server, 'SELECT 1 FROM orders WHERE customer = 66')).toEqual([]);
  });

  it('for write adds and changes rows, draws its serial numbers, and deletes nothing', async () => {
    const { issued } = await issue({ actionClasses: ['write'] });
    expect(issued.scope).toBe('select, insert, update on public.orders');
    const client = await connect(issued);
    await client.query('BEGIN');
    await client.query('INSERT INTO orders (customer, total) VALUES (7, 70)');
    await client.query('UPDATE orders SET total = 71 WHERE customer = 7');
    await client.query('ROLLBACK');
    await expect(client.query('DELETE FROM orders')).rejects.toMatchObject(refused);
    await expect(client.query('TRUNCATE orders')).rejects.toMatchObject(refused);
  });

  it('for the gateway’s own discovery, which asks for nothing, logs in and may do nothing', async () => {
    const { issued } = await issue({ actionClasses: [], resources: [] });
    expect(issued.scope).toBe('no rights');
    const client = await connect(issued);
    await expect(client.query('SELECT * FROM orders')).rejects.toMatchObject(refused);
    await expect(client.query('CREATE TABLE public.mine (id int)')).rejects.toMatchObject(refused);
  });

  it.each([
    { actionClasses: ['read' as const], resources: [] },
    { actionClasses: [], resources: ['public.orders'] },
  ])('is not made for half of a task: %j', async (half) => {
    const outcome = await issue(half).then(
      ({ issued }) => issued.scope,
      (error: { code: string }) => error.code,
    );
    expect(outcome).toBe('ERR_CREDENTIAL_ISSUE');
  });

  it('for columns reads those columns only', async () => {
    const { issued } = await issue({ resources: ['public.customers(id, name)'] });
    const client = await connect(issued);
    expect((await client.query('SELECT id, name FROM customers')).rows).toHaveLength(2);
    await expect(client.query('SELECT card FROM customers')).rejects.toMatchObject(refused);
    await expect(client.query('SELECT * FROM customers')).rejects.toMatchObject(refused);
    await expect(client.query('SELECT customers::text FROM customers')).rejects.toMatchObject(refused);
  });

  it('reads a view, and a table of a closed schema, without what lies beside them', async () => {
    const client = await connect((await issue({ resources: ['public.totals', 'back_office.salaries'] })).issued);
    expect((await client.query('SELECT total FROM totals')).rows).toHaveLength(1);
    expect((await client.query('SELECT amount FROM back_office.salaries')).rows).toHaveLength(1);
    await expect(client.query('SELECT * FROM orders')).rejects.toMatchObject(refused);
    await expect(client.query('CREATE TABLE back_office.loot (id int)')).rejects.toMatchObject(refused);
  });

  it('meets names made to break out of a statement as names', async () => {
    const resources = ['"Odd ""Schema"""."a; DROP TABLE public.orders"("Col; x")'];
    const client = await connect((await issue({ resources })).issued);
    await client.query('SELECT "Col; x" FROM "Odd ""Schema"""."a; DROP TABLE public.orders"');
    expect(await runSql(server, 'SELECT count(*)::int AS orders FROM orders')).toEqual([{ orders: 2 }]);
  });

  it.each([
    [['public.nothing'], 'public.nothing is not a table'],
    [['public.orders', 'nowhere.orders'], 'nowhere.orders is not a table'],
    [['public.orders(id, nothing)'], 'public.orders has no column "nothing"'],
    [['public.orders_id_seq'], 'public.orders_id_seq is not a table'],
    [['pg_catalog.pg_authid'], 'pg_catalog.pg_authid is not a table'],
    [['information_schema.tables'], 'information_schema.tables is not a table'],
    [['public.orders; DROP TABLE orders'], 'does not name a table'],
    [[], 'names no resource'],
  ])('is not made for %j', async (resources, message) => {
    const request = requestOf({ resources });
    const error: unknown = await issuer.issue(request).catch((thrown: unknown) => thrown);
    expect(isRemitError(error, 'ERR_CREDENTIAL_ISSUE')).toBe(true);
    expect(error).toMatchObject({
      message: expect.stringContaining(message),
      where: `${server.host}:${server.port}/shop`,
      hint: expect.stringMatching(/.+/),
    });
    expect(await roleExists(request.tag)).toBe(false);
  });

  it('is not made where the admin role may not pass the right on', async () => {
    await runSql(server, 'GRANT SELECT ON totals TO shop_granter');
    const granter = createPostgresIssuer(options('holder of grant options'));
    const request = requestOf({ resources: ['public.orders', 'public.totals'] });
    await expect(granter.issue(request)).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_ISSUE',
      message: expect.stringContaining('public.totals: SELECT'),
      hint: expect.stringContaining('WITH GRANT OPTION'),
    });
    expect(await roleExists(request.tag)).toBe(false);
    await granter.close();
  });

  it('L3 is valid no longer than its lease by the server’s clock, and cannot log in afterwards', async () => {
    const { lease, issued } = await issue({ expiresAt: Date.now() + 4_000 });
    const rows = await runSql(
      server,
      `SELECT extract(epoch FROM rolvaliduntil) * 1000 AS until FROM pg_roles WHERE rolname = '${lease.tag}'`,
    );
    expect(Number(rows[0]?.until)).toBeLessThanOrEqual(lease.expiresAt);
    expect(Number(rows[0]?.until)).toBeGreaterThan(lease.expiresAt - 1_000);
    expect(issued.nativeExpiresAt).toBeLessThanOrEqual(lease.expiresAt);
    expect(await canLogin(issued.fields)).toBe(true);
    await delay(Math.max(0, lease.expiresAt + 20 - Date.now()));
    expect(await canLogin(issued.fields)).toBe(false);
    expect(await roleExists(lease.tag)).toBe(true);
  });

  it('L3 lives as long as its lease where the gateway’s clock is two hours off', async () => {
    for (const skew of [7_200_000, -7_200_000]) {
      const skewed = createPostgresIssuer(options('superuser', { clock: () => Date.now() + skew }));
      const { lease } = await issue({ expiresAt: Date.now() + skew + 30_000 }, skewed);
      const rows = await runSql(
        server,
        `SELECT extract(epoch FROM rolvaliduntil - now()) AS life FROM pg_roles WHERE rolname = '${lease.tag}'`,
      );
      expect(Number(rows[0]?.life)).toBeLessThanOrEqual(30);
      expect(Number(rows[0]?.life)).toBeGreaterThan(20);
      await skewed.close();
    }
  });

  it('L3 is not made for a lease that has ended', async () => {
    const request = requestOf({ expiresAt: Date.now() - 1 });
    await expect(issuer.issue(request)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    expect(await roleExists(request.tag)).toBe(false);
  });

  it('L3 has timeouts that end what nobody watches', async () => {
    const { lease, issued } = await issue({ expiresAt: Date.now() + 30_000 });
    const client = await connect(issued);
    const { rows } = await client.query<{ name: string; setting: string }>(
      `SELECT name, setting FROM pg_settings WHERE name LIKE '%\\_timeout' AND source = 'user' ORDER BY name`,
    );
    expect(rows.map((row) => row.name)).toEqual([
      'idle_in_transaction_session_timeout',
      'idle_session_timeout',
      'lock_timeout',
      'statement_timeout',
      'transaction_timeout',
    ]);
    for (const row of rows) {
      expect(Number(row.setting), row.name).toBeGreaterThan(0);
      expect(Number(row.setting), row.name).toBeLessThanOrEqual(30_000);
    }
    expect(await roleExists(lease.tag)).toBe(true);
  });

  it('tells the database’s administrator what it is for', async () => {
    const { lease } = await issue();
    const rows = await runSql(
      server,
      `SELECT shobj_description(oid, 'pg_authid') AS note, rolsuper, rolcreatedb, rolcreaterole, rolinherit,
              rolreplication, rolbypassrls, rolconnlimit FROM pg_roles WHERE rolname = '${lease.tag}'`,
    );
    expect(rows).toEqual([
      {
        note: `Remit lease ${lease.id}: task ${lease.task} of agent ${lease.agent} for shop_db`,
        rolsuper: false,
        rolcreatedb: false,
        rolcreaterole: false,
        rolinherit: false,
        rolreplication: false,
        rolbypassrls: false,
        rolconnlimit: 5,
      },
    ]);
  });

  it('L6 never shows its password to the server’s statistics or catalogue, only a SCRAM verifier', async () => {
    const { lease, issued } = await issue();
    const rows = await runSql(server, `SELECT rolpassword FROM pg_authid WHERE rolname = '${lease.tag}'`);
    expect(rows[0]?.rolpassword).toMatch(/^SCRAM-SHA-256\$4096:/);
    const seen = inspect(await runSql(server, 'SELECT * FROM pg_stat_activity'), { depth: 5 });
    expect(seen).not.toContain(issued.fields.password?.reveal());
  });

  for (const admin of Object.keys(ADMINS) as Admin[]) {
    describe(`revoked by an admin that is ${admin}`, () => {
      let by: Issuer;
      let table: string;
      beforeAll(() => {
        by = createPostgresIssuer(options(admin));
        table = ADMINS[admin]().table;
      });
      afterAll(() => by.close());

      it('loses its open sessions at once, a query that runs in one included', async () => {
        const { lease, issued } = await issue({ resources: [table] }, by);
        const [idle, busy] = [await connect(issued), await connect(issued)];
        const running = busy.query('SELECT pg_sleep(30)');
        const outcome = expect(running).rejects.toThrow();
        await idle.query(`SELECT * FROM ${table}`);
        await by.revoke(lease, undefined);
        await outcome;
        await expect(idle.query('SELECT 1')).rejects.toThrow();
        expect(await canLogin(issued.fields)).toBe(false);
        expect(await roleExists(lease.tag)).toBe(false);
      });

      it('leaves nothing behind: large objects, also in another database, temporary tables', async () => {
        const { lease, issued } = await issue({ resources: [table] }, by);
        const client = await connect(issued);
        await client.query('SELECT lo_create(424242); CREATE TEMP TABLE scratch (id int)');
        const elsewhere = await connect(issued, 'postgres');
        await elsewhere.query('SELECT lo_create(434343)');
        await by.revoke(lease, undefined);
        expect(await roleExists(lease.tag)).toBe(false);
        const largeObjects = 'SELECT oid FROM pg_largeobject_metadata';
        expect(await runSql(server, largeObjects)).toEqual([]);
        expect(await runSql(server, largeObjects, { database: 'postgres' })).toEqual([]);
      });

      it('cannot hold up its end: by an open ALTER ROLE of its own, or by locks on its table', async () => {
        const { lease, issued } = await issue({ resources: [table], actionClasses: ['write'] }, by);
        const other = await issue({ resources: [table], actionClasses: ['write'] }, by);
        const [holder, locker] = [await connect(issued), await connect(other.issued)];
        await holder.query(
          "SET idle_in_transaction_session_timeout = 0; BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'mine'",
        );
        await locker.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
        const revoked = by.revoke(lease, undefined);
        // Without ownership of the table each right is revoked by name, which waits for the lock: then the role is
        // dropped when the locker's lease has ended. What counts has happened either way.
        if (admin === 'holder of grant options') {
          await expect(revoked).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_REVOKE' });
        } else await revoked;
        await expect(holder.query('SELECT 1')).rejects.toThrow();
        expect(await canLogin({ ...issued.fields, password: new Secret('mine') })).toBe(false);
        await by.revoke(other.lease, undefined);
        await by.revoke(lease, undefined);
        expect(await roleExists(lease.tag)).toBe(false);
      });

      it('is shut out although it changed its own password and settings', async () => {
        const { lease, issued } = await issue({ resources: [table] }, by);
        const client = await connect(issued);
        await client.query(
          "ALTER ROLE CURRENT_USER PASSWORD 'mine'; ALTER ROLE CURRENT_USER SET statement_timeout = 0",
        );
        await by.revoke(lease, undefined);
        expect(await canLogin({ ...issued.fields, password: new Secret('mine') })).toBe(false);
      });
    });
  }

  it('is revocable from its tag alone when its table is gone', async () => {
    await runSql(server, 'CREATE TABLE fleeting (id int)');
    const { lease } = await issue({ resources: ['public.fleeting', 'public.orders'] });
    await runSql(server, 'DROP TABLE fleeting');
    await issuer.revoke({ ...lease, resources: [] } as Lease, undefined);
    expect(await roleExists(lease.tag)).toBe(false);
  });

  it.each([
    ['goes through', 'COMMIT'],
    ['does not', 'ROLLBACK'],
  ])('L4 a revoke waits for an issue that was cut off at its COMMIT, which then %s', async (_, end) => {
    const { lease } = await issue();
    await issuer.revoke(lease, undefined);
    const { host, port, superuser: user, password } = server;
    const cutOff = new Client({ host, port, database: 'shop', user, password });
    clients.push(cutOff);
    await cutOff.connect();
    await cutOff.query(`BEGIN; CREATE ROLE ${lease.tag} LOGIN`);
    let isOver = false;
    const revoked = issuer.revoke(lease, undefined).finally(() => {
      isOver = true;
    });
    const waiting = `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%${lease.tag}%'`;
    while (!isOver && (await runSql(server, waiting)).length === 0) await delay(5);
    expect(isOver).toBe(false);
    await cutOff.query(end);
    await revoked;
    expect(await roleExists(lease.tag)).toBe(false);
  });

  it.each(['owner', 'holder of grant options'] as const)(
    'made by an admin that is %s is revoked by one that is superuser',
    async (admin) => {
      const maker = createPostgresIssuer(options(admin));
      const { lease } = await issue({ resources: [ADMINS[admin]().table], actionClasses: ['write'] }, maker);
      await maker.close();
      await issuer.revoke(lease, undefined);
      expect(await roleExists(lease.tag)).toBe(false);
    },
  );

  it('is made and revoked by an admin that may pass on single columns only', async () => {
    await runSql(server, 'GRANT SELECT (id, total) ON back_office.salaries2 TO shop_granter WITH GRANT OPTION');
    const granter = createPostgresIssuer(options('holder of grant options'));
    const { lease, issued } = await issue({ resources: ['back_office.salaries2(id)'] }, granter);
    expect((await (await connect(issued)).query('SELECT id FROM back_office.salaries2')).rows).toEqual([]);
    await granter.revoke(lease, undefined);
    expect(await roleExists(lease.tag)).toBe(false);
    await granter.close();
  });

  it('no role but its own is touched, whatever a lease row says', async () => {
    const { lease } = await issue();
    for (const tag of [
      'shop_owner',
      'postgres',
      'remit_',
      'remit_admin"; DROP ROLE shop_owner; --',
      `${lease.tag}\n`,
    ]) {
      await expect(issuer.revoke({ ...lease, tag }, undefined), tag).rejects.toMatchObject({
        code: 'ERR_CREDENTIAL_REVOKE',
      });
    }
    expect(await roleExists('shop_owner')).toBe(true);
    expect(await roleExists(lease.tag)).toBe(true);
  });

  it('a revoke that cannot reach the server says so: ERR_CREDENTIAL_REVOKE, where, and no password', async () => {
    const { lease } = await issue();
    const port = await closedPort();
    const unreachable = createPostgresIssuer(options('superuser', { port }));
    const error: unknown = await unreachable.revoke(lease, undefined).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'ERR_CREDENTIAL_REVOKE',
      where: `127.0.0.1:${port}/shop`,
      hint: expect.stringMatching(/.+/),
    });
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(server.password);
    await unreachable.close();
  });

  it('a server that accepts and never answers costs no more than the deadline', async () => {
    const silent = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as { port: number };
    const hung = createPostgresIssuer(options('superuser', { port, revokeWithinMs: 300 }));
    const { lease } = await issue();
    const started = performance.now();
    await expect(hung.issue(requestOf({ signal: AbortSignal.timeout(300) }))).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_ISSUE',
      message: expect.stringContaining('deadline'),
    });
    await expect(hung.revoke(lease, undefined)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_REVOKE' });
    expect(performance.now() - started).toBeLessThan(3_000);
    silent.close();
  });
});
