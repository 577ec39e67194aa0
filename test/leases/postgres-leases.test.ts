import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createPostgresIssuer } from '../../src/adapters/issuers/postgres-issuer.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { HeldLease } from '../../src/leases/held-lease.ts';
import { createLeaseManager, type LeaseManagerOptions } from '../../src/leases/lease-manager.ts';
import { reapLeases } from '../../src/leases/reap.ts';
import { DEFAULT_TEMPLATES } from '../../src/leases/render-injection.ts';
import type { Issuer } from '../../src/seams/issuer.ts';
import { type EmbeddedPostgres, startPostgres } from '../support/embedded-postgres.ts';
import { createShop, runSql } from '../support/shop-database.ts';
import { createWorld, SHOP } from './lease-world.ts';

let server: EmbeddedPostgres;
let issuer: Issuer;
beforeAll(async () => {
  server = await startPostgres({ fsync: false });
  await createShop(server);
  issuer = createPostgresIssuer({
    host: server.host,
    port: server.port,
    database: 'shop',
    adminUser: server.superuser,
    adminPassword: async () => new Secret(server.password),
    tls: false,
    clock: Date.now,
    random: randomBytes,
  });
});
afterAll(async () => {
  await issuer.close();
  await server.stop();
});

function start(more: Partial<LeaseManagerOptions> = {}) {
  const world = createWorld();
  const schedule: LeaseManagerOptions['schedule'] = (ms, task) => {
    const timer = setTimeout(task, ms).unref();
    return () => clearTimeout(timer);
  };
  const binding = { issuer, mode: 'task', ttlSeconds: 60, templates: DEFAULT_TEMPLATES.postgres } as const;
  const options = { ...world.options, clock: Date.now, schedule, issuerOf: () => binding, ...more };
  const task = () => world.task({ startedAt: Date.now(), expiresAt: Date.now() + 3_600_000 });
  return { ...world, options, task, manager: createLeaseManager(options) };
}

async function connect({ injection }: HeldLease): Promise<Client> {
  const { PGUSER, PGPASSWORD } = injection.environment;
  const { host, port } = server;
  const client = new Client({ host, port, database: 'shop', user: PGUSER?.reveal(), password: PGPASSWORD?.reveal() });
  client.on('error', () => {});
  await client.connect();
  return client;
}

const leasedRoles = () => runSql(server, `SELECT rolname FROM pg_roles WHERE rolname LIKE 'remit\\_%'`);

it('V2 a real session under a lease ends with its task', async () => {
  const { manager, task, rowsOf } = start();
  const mine = task();
  const client = await connect((await manager.acquire(mine, SHOP)) as HeldLease);
  expect((await client.query('SELECT count(*)::int AS orders FROM orders')).rows).toEqual([{ orders: 2 }]);
  expect(await manager.revokeTask(mine.id, 'completed')).toMatchObject([{ state: 'ended' }]);
  await expect(client.query('SELECT 1')).rejects.toThrow();
  expect(rowsOf(mine.id)).toMatchObject([{ state: 'ended', scope: 'select on public.orders' }]);
  expect(await leasedRoles()).toEqual([]);
});

it('L5 what a gateway that is gone has left at a real server is gone after the next start', async () => {
  const before = start();
  const clients = [];
  for (let index = 0; index < 5; index++) {
    clients.push(await connect((await before.manager.acquire(before.task(), SHOP)) as HeldLease));
  }
  before.manager.close();
  expect(await leasedRoles()).toHaveLength(5);
  const after = start({ repository: before.repository, claims: before.repository.claims });
  expect(await after.manager.recover()).toEqual({ found: 5, outstanding: 0 });
  expect(await leasedRoles()).toEqual([]);
  for (const client of clients) await expect(client.query('SELECT 1')).rejects.toThrow();
  after.manager.close();
});

it('L3 a session that is held open past its lease, with no gateway, is ended by the reaper from the row alone', async () => {
  const before = start();
  const client = await connect((await before.manager.acquire(before.task(), SHOP)) as HeldLease);
  await client.query('SET idle_session_timeout = 0; SET transaction_timeout = 0');
  before.manager.close();
  const { limits } = before.context;
  const reap = (ms: number) =>
    reapLeases({ ...before.options, limits, claimant: 'reaper', clock: () => Date.now() + ms }, 'expired');
  expect((await reap(0)).ended).toEqual([]);
  expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  expect((await reap(120_000)).ended).toMatchObject([{ state: 'ended' }]);
  await expect(client.query('SELECT 1')).rejects.toThrow();
  expect(await leasedRoles()).toEqual([]);
});
