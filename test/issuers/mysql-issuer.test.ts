import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createConnection } from 'mysql2/promise';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMysqlIssuer, type MysqlIssuerOptions } from '../../src/adapters/issuers/mysql-issuer.ts';
import { Secret } from '../../src/domain/secret.ts';
import { issuerSuite, newLease, requestFor } from '../suites/issuer-suite.ts';
import { type FakeMysqlServer, startFakeMysql } from '../support/fake-mysql-server.ts';

const VERSIONS = { mysql: '8.4.0', mariadb: '5.5.5-10.11.6-MariaDB' } as const;
const ask = { resources: ['shop.orders(id, total)', 'shop.customers'], actionClasses: ['write' as const] };
const signal = () => AbortSignal.timeout(5_000);

function options(server: FakeMysqlServer, more: Partial<MysqlIssuerOptions> = {}): MysqlIssuerOptions {
  const { host, port, password } = server;
  const adminPassword = async () => new Secret(password);
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

async function closedPort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}

for (const [dialect, version] of Object.entries(VERSIONS)) {
  issuerSuite(`mysql, against fake-mysql as ${dialect}`, async () => {
    const server = await startFakeMysql({ version });
    const more = { eventDatabase: 'remit' };
    return {
      issuer: createMysqlIssuer(options(server, more)),
      other: () => createMysqlIssuer(options(server, more)),
      clock: Date.now,
      ...ask,
      async canUse({ username, password }) {
        try {
          const { host, port } = server;
          const login = { user: username?.reveal() ?? '', password: password?.reveal() ?? '' };
          const connection = await createConnection({ host, port, ...login });
          await connection.query('SELECT 1').finally(() => connection.destroy());
          return true;
        } catch {
          return false;
        }
      },
      exists: async (tag) => server.users.has(tag) || server.events.has(tag),
      broken: [
        createMysqlIssuer(options(server, { port: await closedPort() })),
        createMysqlIssuer(options(server, { adminPassword: async () => new Secret('canary-wrong-mysql-77') })),
        createMysqlIssuer(options(server, { adminPassword: async () => undefined })),
        createMysqlIssuer(options(server, { tls: true })),
      ],
      secrets: [server.password, 'canary-wrong-mysql-77'],
      stop: () => server.stop(),
    };
  });
}

describe('the MySQL issuer at the wire', () => {
  let server: FakeMysqlServer;
  const start = async (dialect: keyof typeof VERSIONS) => {
    await server.stop();
    server = await startFakeMysql({ version: VERSIONS[dialect] });
  };
  beforeEach(async () => {
    server = await startFakeMysql();
  });
  afterEach(() => server.stop());

  it.each(['mariadb', 'mysql'] as const)('L6 sends no password to %s, in no statement', async (dialect) => {
    await start(dialect);
    const issuer = createMysqlIssuer(options(server, { requireTls: true, userHost: '10.0.0.%' }));
    const lease = newLease(issuer);
    const { fields, scope } = await issuer.issue({ ...requestFor(lease, signal()), ...ask });
    expect(scope).toBe('select, insert, update on shop.orders(id, total), shop.customers');
    const sent = server.statements.join('\n');
    expect(sent).not.toContain(fields.password?.reveal());
    const account = `'${lease.tag}'@'10.0.0.%'`;
    expect(sent).toMatch(new RegExp(`CREATE USER ${account} IDENTIFIED .* REQUIRE SSL WITH MAX_USER_CONNECTIONS 5`));
    expect(server.statements.filter((sql) => sql.startsWith('GRANT'))).toEqual([
      `GRANT SELECT (\`id\`, \`total\`), INSERT (\`id\`, \`total\`), UPDATE (\`id\`, \`total\`) ON TABLE \`shop\`.\`orders\` TO ${account}`,
      `GRANT SELECT, INSERT, UPDATE ON TABLE \`shop\`.\`customers\` TO ${account}`,
    ]);
    await issuer.close();
  });

  it('never lets GRANT make a user where MariaDB would', async () => {
    await start('mariadb');
    const issuer = createMysqlIssuer(options(server));
    await issuer.revoke(newLease(issuer), undefined);
    expect(server.statements.find((sql) => sql.startsWith('SET SESSION'))).toContain('NO_AUTO_CREATE_USER');
    await issuer.close();
  });

  it('L3 makes the end that the server puts to a lease before its user', async () => {
    const issuer = createMysqlIssuer(options(server, { eventDatabase: 'remit' }));
    const lease = newLease(issuer);
    const { nativeExpiresAt } = await issuer.issue({ ...requestFor(lease, signal()), ...ask });
    expect(nativeExpiresAt).toBe(lease.expiresAt);
    const at = (start: string) => server.statements.findIndex((sql) => sql.startsWith(start));
    expect(at('CREATE EVENT')).toBeGreaterThan(-1);
    expect(at('CREATE EVENT')).toBeLessThan(at('CREATE USER'));
    await issuer.close();
  });

  it.each([
    ['PROCESS', 'INNODB_CMPMEM', 1227],
    ['SELECT (User, Host) ON mysql.user', 'mysql.user', 1142],
  ])('L2 makes no user that it could not revoke: an admin without %s', async (right, statement, number) => {
    server.refuse = (sql) => (sql.includes(statement) ? [number, 'denied'] : undefined);
    const issuer = createMysqlIssuer(options(server));
    await expect(issuer.issue({ ...requestFor(newLease(issuer), signal()), ...ask })).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_ISSUE',
      message: expect.stringContaining(`lacks ${right}`),
      hint: expect.stringMatching(/.+/),
    });
    expect(server.statements.some((sql) => sql.startsWith('CREATE USER'))).toBe(false);
    await expect(issuer.revoke(newLease(issuer), undefined)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_REVOKE' });
    await issuer.close();
  });

  it('L6 takes a password that MySQL makes over TLS or loopback alone', async () => {
    const issuer = createMysqlIssuer({ ...options(server), host: '127.0.0.2' });
    await expect(issuer.issue({ ...requestFor(newLease(issuer), signal()), ...ask })).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_ISSUE',
      hint: 'Set tls: true.',
    });
    await issuer.close();
  });

  it('L4 half made: a refusal in the middle fails the issue, and the row alone ends what it left', async () => {
    const issuer = createMysqlIssuer(options(server));
    const lease = newLease(issuer);
    server.refuse = (sql) => (sql.includes('customers') ? [1142, 'GRANT command denied'] : undefined);
    await expect(issuer.issue({ ...requestFor(lease, signal()), ...ask })).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_ISSUE',
      message: expect.stringContaining('cannot grant'),
    });
    expect(server.users.has(lease.tag)).toBe(true);
    await issuer.revoke(lease, undefined);
    expect(server.users.has(lease.tag)).toBe(false);
    await issuer.close();
  });

  it('L4 fails a revoke that gets no answer, within its bound, and takes another connection for the next', async () => {
    const issuer = createMysqlIssuer(options(server, { revokeWithinMs: 100 }));
    const lease = newLease(issuer);
    await issuer.issue({ ...requestFor(lease, signal()), ...ask });
    server.isHung = true;
    await expect(issuer.revoke(lease, undefined)).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_REVOKE',
      message: expect.stringContaining('not done within 100 ms'),
    });
    server.isHung = false;
    await issuer.revoke(lease, undefined);
    expect(server.users.has(lease.tag)).toBe(false);
    await issuer.close();
  });

  it('L4 does not issue under a tag whose lock somebody else holds', async () => {
    const issuer = createMysqlIssuer(options(server));
    const lease = newLease(issuer);
    const { host, port, password } = server;
    const other = await createConnection({ host, port, user: 'remit_admin', password });
    await other.query(`SELECT GET_LOCK('${lease.tag}', 0) AS got`);
    await expect(issuer.issue({ ...requestFor(lease, signal()), ...ask })).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_ISSUE',
    });
    // And a revoke ends whoever keeps it.
    await issuer.revoke(lease, undefined);
    await expect(other.query('SELECT 1')).rejects.toThrow();
    await issuer.close();
  });

  it('V2 waits at MySQL for whoever is logging in, and ends them where they take too long', async () => {
    const issuer = createMysqlIssuer(options(server));
    server.strangers = 1;
    await issuer.revoke(newLease(issuer), undefined);
    expect(server.statements).toContain('KILL CONNECTION 9000');
    await issuer.close();
  });

  it('uses a few connections, however many leases are asked for, and again those that it has', async () => {
    const issuer = createMysqlIssuer(options(server));
    const leases = Array.from({ length: 12 }, () => newLease(issuer));
    await Promise.all(leases.map((lease) => issuer.issue({ ...requestFor(lease, signal()), ...ask })));
    await Promise.all(leases.map((lease) => issuer.revoke(lease, undefined)));
    expect(server.statements.filter((sql) => sql.startsWith('SELECT VERSION()')).length).toBeLessThanOrEqual(4);
    await issuer.close();
  });
});
