import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type Connection, createConnection } from 'mysql2/promise';
import sshpk from 'sshpk';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type MariadbServer, startMariadb } from '../harness/mariadb.ts';
import { createMysqlIssuer, type MysqlIssuerOptions } from '../src/adapters/issuers/mysql-issuer.ts';
import type { Lease } from '../src/domain/lease.ts';
import { Secret } from '../src/domain/secret.ts';
import type { ActionClass } from '../src/domain/tool.ts';
import type { IssuedCredential, Issuer } from '../src/seams/issuer.ts';
import { issuerSuite, newLease, requestFor } from '../test/suites/issuer-suite.ts';
import { connectSlowly } from './connect-slowly.ts';
import { measureIssuer } from './measure.ts';

const ADMIN_PASSWORD = 'canary-maria-admin-41';
let server: MariadbServer;

beforeAll(async () => {
  server = await startMariadb({ tls: selfSigned() });
  await server.runSql([
    'CREATE DATABASE shop',
    'CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, total DECIMAL(10, 2), note TEXT)',
    'CREATE TABLE shop.customers (id INT PRIMARY KEY, name TEXT)',
    'CREATE TABLE shop.`Order ``X```(`Id` INT)',
    // Rights on a whole database take these names for a pattern of one another.
    'CREATE DATABASE a_b',
    'CREATE DATABASE aXb',
    'CREATE TABLE a_b.t (id INT)',
    'CREATE TABLE aXb.t (id INT)',
    'CREATE DATABASE remit',
    "INSERT INTO shop.orders (total, note) VALUES (12.5, 'hidden')",
    `CREATE USER remit_admin@127.0.0.1 IDENTIFIED BY '${ADMIN_PASSWORD}'`,
    'GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.* TO remit_admin@127.0.0.1',
    'GRANT SELECT (User, Host) ON mysql.user TO remit_admin@127.0.0.1',
    'GRANT SELECT, INSERT, UPDATE ON shop.* TO remit_admin@127.0.0.1 WITH GRANT OPTION',
    'GRANT SELECT, INSERT, UPDATE ON `a\\_b`.* TO remit_admin@127.0.0.1 WITH GRANT OPTION',
    'GRANT EVENT ON remit.* TO remit_admin@127.0.0.1',
    `CREATE USER blind@127.0.0.1 IDENTIFIED BY '${ADMIN_PASSWORD}'`,
    'GRANT CREATE USER, CONNECTION ADMIN ON *.* TO blind@127.0.0.1',
    'GRANT SELECT (User, Host) ON mysql.user TO blind@127.0.0.1',
    `CREATE USER unseeing@127.0.0.1 IDENTIFIED BY '${ADMIN_PASSWORD}'`,
    'GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.* TO unseeing@127.0.0.1',
  ]);
});
afterAll(async () => {
  await server.stop();
});

function selfSigned(): { key: string; cert: string } {
  const key = sshpk.generatePrivateKey('ecdsa');
  const cert = sshpk.createSelfSignedCertificate([sshpk.identityForHost('localhost')], key);
  return { key: key.toString('pkcs8'), cert: cert.toString('pem') };
}

function options(more: Partial<MysqlIssuerOptions> = {}): MysqlIssuerOptions {
  const { host, port } = server;
  const adminPassword = async () => new Secret(ADMIN_PASSWORD);
  return {
    host,
    port,
    adminUser: 'remit_admin',
    adminPassword,
    tls: false,
    clock: Date.now,
    random: randomBytes,
    ...more,
  };
}

async function connect({ fields }: Pick<IssuedCredential, 'fields'>, tls = false): Promise<Connection> {
  const connection = await createConnection({
    host: server.host,
    port: server.port,
    user: fields.username?.reveal() ?? '',
    password: fields.password?.reveal() ?? '',
    ...(tls && { ssl: { rejectUnauthorized: false } }),
  });
  connection.on('error', () => {});
  return connection;
}

const exists = async (tag: string): Promise<boolean> => {
  const rows = await server.runSql(
    `SELECT User FROM mysql.global_priv WHERE User = '${tag}' UNION ALL SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_NAME = '${tag}'`,
  );
  return rows.length > 0;
};

async function closedPort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}

for (const [name, more] of [
  ['ended by the gateway', {}],
  ['ended by the server too', { eventDatabase: 'remit' }],
] as const) {
  issuerSuite(`mysql, against mariadbd, ${name}`, async () => ({
    issuer: createMysqlIssuer(options(more)),
    other: () => createMysqlIssuer(options(more)),
    clock: Date.now,
    resources: ['shop.orders'],
    actionClasses: ['read', 'write'],
    async canUse(fields) {
      try {
        const connection = await connect({ fields });
        await connection.query('INSERT INTO shop.orders (total) VALUES (1)').finally(() => connection.destroy());
        return true;
      } catch {
        return false;
      }
    },
    exists,
    broken: [
      createMysqlIssuer(options({ port: await closedPort() })),
      createMysqlIssuer(options({ adminPassword: async () => new Secret('canary-wrong-maria-77') })),
      createMysqlIssuer(options({ adminPassword: async () => undefined })),
      createMysqlIssuer(options({ adminUser: 'blind' })),
      createMysqlIssuer(options({ adminUser: 'unseeing' })),
      createMysqlIssuer(options({ tls: true })),
      createMysqlIssuer(options({ eventDatabase: 'no_such_database' })),
    ],
    secrets: [server.password, ADMIN_PASSWORD, 'canary-wrong-maria-77'],
    stop: async () => {},
  }));
}

describe('a leased user of a real MariaDB', () => {
  let issuer: Issuer;
  const leases: Lease[] = [];
  const connections: Connection[] = [];

  beforeAll(() => {
    issuer = createMysqlIssuer(options({ eventDatabase: 'remit' }));
  });
  afterEach(async () => {
    for (const connection of connections.splice(0)) connection.destroy();
    for (const lease of leases.splice(0)) await issuer.revoke(lease, undefined);
  });
  afterAll(() => issuer.close());

  async function issue(resources: string[], actionClasses: ActionClass[], by = issuer, lifeMs = 60_000) {
    const lease = newLease(by);
    leases.push(lease);
    const request = { ...requestFor(lease, AbortSignal.timeout(10_000)), resources, actionClasses };
    return { lease, issued: await by.issue({ ...request, expiresAt: Date.now() + lifeMs }) };
  }

  async function enter(issued: IssuedCredential, tls = false): Promise<Connection> {
    const connection = await connect(issued, tls);
    connections.push(connection);
    return connection;
  }

  const denied = /denied/;

  it('for read reads its columns and nothing else', async () => {
    const { issued } = await issue(['shop.orders(id, total)'], ['read']);
    expect(issued.scope).toBe('select on shop.orders(id, total)');
    const connection = await enter(issued);
    await connection.query('SELECT id, total FROM shop.orders');
    for (const sql of [
      'SELECT note FROM shop.orders',
      'SELECT * FROM shop.orders',
      'SELECT * FROM shop.customers',
      'INSERT INTO shop.orders (total) VALUES (1)',
      'UPDATE shop.orders SET total = 1',
      'DELETE FROM shop.orders',
      'TRUNCATE shop.orders',
      'DROP TABLE shop.orders',
      'CREATE TABLE shop.mine (id INT)',
      'CREATE DATABASE mine',
      'SELECT * FROM mysql.user',
      'SELECT * FROM mysql.global_priv',
      "CREATE USER mine IDENTIFIED BY 'x'",
      'GRANT SELECT ON shop.orders TO CURRENT_USER',
      "SELECT LOAD_FILE('/etc/passwd')  INTO OUTFILE '/nowhere/x'",
      'CREATE EVENT remit.mine ON SCHEDULE EVERY 1 SECOND DO SELECT 1',
      'SET GLOBAL event_scheduler = OFF',
    ]) {
      await expect(connection.query(sql), sql).rejects.toThrow(/denied|GRANT OPTION|you need/i);
    }
    // What it sees of others.
    const [rows] = await connection.query('SELECT DISTINCT USER AS user FROM information_schema.PROCESSLIST');
    expect(rows).toEqual([{ user: issued.fields.username?.reveal() }]);
  });

  it('for write adds and changes, and neither deletes nor truncates', async () => {
    const { issued } = await issue(['shop.orders'], ['write']);
    const connection = await enter(issued);
    await connection.query('INSERT INTO shop.orders (total) VALUES (3)');
    await connection.query('UPDATE shop.orders SET total = 4 WHERE total = 3');
    await expect(connection.query('DELETE FROM shop.orders')).rejects.toThrow(denied);
    await expect(connection.query('TRUNCATE shop.orders')).rejects.toThrow(denied);
  });

  it('takes a name for itself, never for a pattern, and quotes what is in it', async () => {
    const { issued } = await issue(['a_b.t', 'shop.`Order ``X```(`Id`)'], ['read']);
    const connection = await enter(issued);
    await connection.query('SELECT * FROM a_b.t');
    await connection.query('SELECT `Id` FROM shop.`Order ``X```');
    await expect(connection.query('SELECT * FROM aXb.t')).rejects.toThrow(denied);
  });

  it('for the gateway’s own discovery connects and may do nothing', async () => {
    const { issued } = await issue([], []);
    expect(issued.scope).toBe('no rights');
    const connection = await enter(issued);
    await connection.query('SELECT 1');
    await expect(connection.query('SELECT * FROM shop.orders')).rejects.toThrow(denied);
  });

  it('is bounded in connections and in the time of a statement', async () => {
    const by = createMysqlIssuer(options({ maxConnections: 2, maxStatementSeconds: 1 }));
    const { issued } = await issue(['shop.orders'], ['read'], by);
    const [one] = [await enter(issued), await enter(issued)];
    await expect(enter(issued)).rejects.toThrow(/max_user_connections/);
    await expect(one?.query('SELECT SLEEP(5) FROM shop.orders')).rejects.toThrow(/max_statement_time/);
    await by.close();
  });

  it('comes by TLS where that is required', async () => {
    const by = createMysqlIssuer(options({ requireTls: true }));
    const { issued } = await issue(['shop.orders'], ['read'], by);
    await expect(enter(issued)).rejects.toThrow(denied);
    const connection = await enter(issued, true);
    await connection.query('SELECT * FROM shop.orders');
    await by.close();
  });

  it('V2 loses its open sessions with its lease, a running statement and an open transaction among them', async () => {
    const { lease, issued } = await issue(['shop.orders'], ['write']);
    const [idle, busy, open] = [await enter(issued), await enter(issued), await enter(issued)];
    await open?.query('START TRANSACTION');
    await open?.query("INSERT INTO shop.orders (total, note) VALUES (7, 'never kept')");
    const running = busy?.query('SELECT SLEEP(30)').then(
      () => 'done',
      () => 'ended',
    );
    await issuer.revoke(lease, undefined);
    expect(await running).toBe('ended');
    for (const connection of [idle, busy, open]) await expect(connection?.query('SELECT 1')).rejects.toThrow();
    await expect(enter(issued)).rejects.toThrow(denied);
    const rows = await server.runSql("SELECT * FROM shop.orders WHERE note = 'never kept'");
    expect(rows).toEqual([]);
  });

  it('V2 loses a session that was being opened while the revoke ran', async () => {
    const { lease, issued } = await issue(['shop.orders'], ['read']);
    const login = await connectSlowly(server.port, issued.fields);
    const revoked = issuer.revoke(lease, undefined);
    await until(async () => !(await exists(lease.tag)), 'its account is dropped');
    const isIn = await login.finish();
    await revoked;
    if (isIn) await expect(login.query('SELECT 1')).rejects.toThrow();
    const sessions = await server.runSql(
      `SELECT ID FROM information_schema.PROCESSLIST WHERE USER IN ('${lease.tag}', 'unauthenticated user')`,
    );
    expect(sessions).toEqual([]);
    login.close();
  });

  it('V2 is not held up by whoever never finishes logging in, or takes its lock', async () => {
    const { lease, issued } = await issue(['shop.orders'], ['read']);
    const { issued: other } = await issue(['shop.orders'], ['read']);
    const login = await connectSlowly(server.port, issued.fields);
    const thief = await enter(other);
    await thief.query(`SELECT GET_LOCK('${lease.tag}', 0)`);
    await issuer.revoke(lease, undefined);
    expect(await exists(lease.tag)).toBe(false);
    login.close();
  });

  it('L3 is ended by the server itself, with its sessions, when nobody comes back', async () => {
    const { lease, issued } = await issue(['shop.orders'], ['read'], issuer, 2_500);
    expect(issued.nativeExpiresAt).toBeLessThanOrEqual(Date.now() + 2_500);
    const connection = await enter(issued);
    await connection.query('SELECT 1');
    await until(async () => !(await exists(lease.tag)), 'the event ran');
    await until(
      () =>
        connection.query('SELECT 1').then(
          () => false,
          () => true,
        ),
      'its session is ended',
    );
    await expect(enter(issued)).rejects.toThrow(denied);
  });

  it('L3 has no end of its own without events, and says so', async () => {
    const by = createMysqlIssuer(options());
    const { issued } = await issue(['shop.orders'], ['read'], by);
    expect(issued.nativeExpiresAt).toBeUndefined();
    await by.close();
  });

  it('L3 is not made where events are asked for and the server runs none', async () => {
    await server.runSql('SET GLOBAL event_scheduler = OFF');
    try {
      await expect(issue(['shop.orders'], ['read'])).rejects.toMatchObject({
        code: 'ERR_CREDENTIAL_ISSUE',
        message: expect.stringContaining('the server runs no events'),
      });
    } finally {
      await server.runSql('SET GLOBAL event_scheduler = ON');
    }
  });

  it('L4 half made is removed by its row alone: of one that was refused in the middle nothing is left', async () => {
    const lease = newLease(issuer);
    const request = { ...requestFor(lease, AbortSignal.timeout(10_000)), actionClasses: ['read' as const] };
    await expect(issuer.issue({ ...request, resources: ['shop.orders', 'shop.no_such_table'] })).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_ISSUE',
      hint: expect.stringContaining('Correct the resource'),
    });
    await issuer.revoke(lease, undefined);
    expect(await exists(lease.tag)).toBe(false);
  });

  it('L4 waits for a lock of a backup no longer than its bound, fails, and succeeds when it is gone', async () => {
    const { lease } = await issue(['shop.orders'], ['read']);
    const backup = await createConnection({
      host: server.host,
      port: server.port,
      user: 'root',
      password: server.password,
    });
    await backup.query('FLUSH TABLES WITH READ LOCK');
    const by = createMysqlIssuer(options({ eventDatabase: 'remit', revokeWithinMs: 300 }));
    await expect(by.revoke(lease, undefined)).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_REVOKE',
      message: expect.stringContaining('not done within 300 ms'),
      hint: expect.stringMatching(/.+/),
    });
    backup.destroy();
    await by.revoke(lease, undefined);
    expect(await exists(lease.tag)).toBe(false);
    await by.close();
  });

  it('L2 is found whatever host part it was given', async () => {
    const by = createMysqlIssuer(options({ userHost: '127.0.0.1' }));
    const { lease } = await issue(['shop.orders'], ['read'], by);
    await issuer.revoke(lease, undefined);
    expect(await exists(lease.tag)).toBe(false);
    await by.close();
  });

  it('L6 leaves no password in the log of statements, and none on a connection', async () => {
    const { issued } = await issue(['shop.orders'], ['read']);
    const log = await server.queryLog();
    expect(log).toContain(issued.fields.username?.reveal());
    expect(log).not.toContain(issued.fields.password?.reveal());
  });

  it.each([
    [['shop.orders'], ['code' as const], 'open no table'],
    [[], ['read' as const], 'names no resource'],
    [['mysql.user'], ['read' as const], 'server’s own'],
    [['shop.customers(nothing)'], ['read' as const], 'Unknown column'],
    [['aXb.t'], ['read' as const], 'cannot grant'],
  ])('is not made for %j and %j', async (resources, classes, message) => {
    await expect(issue(resources, classes)).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_ISSUE',
      message: expect.stringContaining(message.replace('’', "'")),
      where: `${server.host}:${server.port}`,
    });
  });

  it('touches no user that is none of ours, whatever a row says', async () => {
    const lease = { ...newLease(issuer), tag: 'root' };
    await expect(issuer.revoke(lease, undefined)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_REVOKE' });
    await expect(issuer.issue(requestFor(lease, AbortSignal.timeout(1_000)))).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_ISSUE',
    });
    expect(await exists('root')).toBe(true);
  });

  it('has in docs/how-to/choose-an-issuer.md all the rights that its admin user needs', async () => {
    const page = await readFile(new URL('../docs/how-to/choose-an-issuer.md', import.meta.url), 'utf8');
    const block = /## MariaDB and MySQL\n.*?```sql\n(.*?)```/s.exec(page)?.[1] ?? '';
    const statements = block.split('\n').map((line) => (line.split(';')[0] ?? '').replace('remit_admin', 'as_told'));
    expect(statements.filter((one) => one.startsWith('GRANT'))).toHaveLength(4);
    await server.runSql([
      `CREATE USER as_told IDENTIFIED BY '${ADMIN_PASSWORD}'`,
      ...statements.filter((one) => one !== '' && one !== 'CREATE DATABASE remit'),
    ]);
    const by = createMysqlIssuer(options({ adminUser: 'as_told', eventDatabase: 'remit' }));
    const { lease, issued } = await issue(['shop.orders(id, total)'], ['write'], by);
    const connection = await enter(issued);
    await connection.query('UPDATE shop.orders SET total = 5 WHERE id = 1');
    await by.revoke(lease, undefined);
    await expect(connection.query('SELECT id FROM shop.orders')).rejects.toThrow();
    expect(await exists(lease.tag)).toBe(false);
    await by.close();
  });

  it('costs what is measured', async () => {
    const by = createMysqlIssuer(options());
    const ask = { resources: ['shop.orders'], actionClasses: ['read' as const] };
    const cost = await measureIssuer('mariadb', by, ask, 100);
    expect(cost.issue).toBeLessThan(200);
    await by.close();
  });
});

async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
  for (const since = performance.now(); performance.now() - since < 10_000; ) {
    if (await isSo()) return;
    await delay(20);
  }
  expect.unreachable(`not so within 10 s: ${what}`);
}
