import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import pg from 'pg';
import { postgresProtocol } from '../harness/postgres-protocol.ts';
import { startRedis } from '../harness/redis.ts';
import { redisProtocol } from '../harness/redis-protocol.ts';
import type { Protocol, Request } from '../harness/tcp-proxy.ts';
import { type EmbeddedPostgresOptions, startPostgres } from '../test/support/embedded-postgres.ts';
import { createShop, runSql } from '../test/support/shop-database.ts';

/** What is there of leased credentials: objects that could be used, and sessions that go on without one. */
export interface Alive {
  readonly tag: string;
  readonly sessions: number;
  /** False where the object is there and lets nobody in any more. */
  readonly mayLogIn: boolean;
}

/** A real system whose credentials Remit makes, looked at from outside as its administrator. */
export interface Downstream {
  readonly kind: 'postgres' | 'redis';
  readonly port: number;
  readonly password: string;
  readonly protocol: Protocol;
  alive(): Promise<Alive[]>;
  stop(): Promise<void>;
}

export const DATABASE = 'shop';

const ALIVE = `
SELECT coalesce(r.rolname, 'dropped role ' || a.usesysid) AS tag, count(a.pid)::int AS sessions,
       coalesce(bool_or(r.rolcanlogin), false) AS "mayLogIn"
  FROM pg_roles r FULL JOIN (SELECT pid, usesysid FROM pg_stat_activity WHERE usesysid IS NOT NULL) a ON a.usesysid = r.oid
 WHERE r.rolname LIKE 'remit\\_%' OR r.oid IS NULL
 GROUP BY 1 ORDER BY 1`;

/** @param network where it can be reached besides loopback */
export async function startPostgresDownstream(
  network?: EmbeddedPostgresOptions['network'],
): Promise<Downstream & { makeDatabase(name: string): Promise<string> }> {
  const server = await startPostgres({ fsync: false, network });
  await createShop(server);
  const admin = new pg.Client({ connectionString: server.url(DATABASE) });
  admin.on('error', () => {});
  await admin.connect();
  return {
    kind: 'postgres',
    port: server.port,
    password: server.password,
    protocol: postgresProtocol(labelStatements),
    alive: async () => (await admin.query<Alive>(ALIVE)).rows,
    async makeDatabase(name) {
      await runSql(server, `CREATE DATABASE ${name}`, { database: 'postgres' });
      return server.url(name);
    },
    async stop() {
      await admin.end().catch(() => {});
      await server.stop();
    },
  };
}

/** What the issuer's statements do. Of one connection, since a COMMIT is of what came before it. */
function labelStatements(): (sql: string) => Request | undefined {
  let within: { what: 'create' | 'drop'; tag: string | undefined } | undefined;
  let barred: string | undefined;
  return (sql) => {
    const tag = /"(remit_[0-9a-z]+)"/.exec(sql)?.[1];
    if (/^CREATE ROLE "[^"]+" LOGIN/.test(sql)) {
      within = { what: 'create', tag };
      return within;
    }
    if (/^ALTER ROLE "[^"]+" NOLOGIN/m.test(sql)) {
      barred = tag;
      return { what: 'bar', tag };
    }
    if (sql.includes('pg_terminate_backend')) return { what: 'terminate', tag: barred };
    if (/DROP ROLE "/.test(sql)) {
      within = { what: 'drop', tag };
      return within;
    }
    if (sql === 'COMMIT' && within !== undefined) {
      const request = { what: `${within.what}-commit`, tag: within.tag };
      within = undefined;
      return request;
    }
    if (sql === 'ROLLBACK') within = undefined;
    return undefined;
  };
}

export async function startRedisDownstream(): Promise<Downstream> {
  const folder = await mkdtemp(join(tmpdir(), 'remit-crash-redis-'));
  const server = await startRedis({ folder, password: randomBytes(18).toString('base64url') });
  const admin = createClient({
    socket: { host: server.host, port: server.port },
    ...(server.password === undefined ? {} : { password: server.password }),
  });
  admin.on('error', () => {});
  await admin.connect();
  await admin.set('orders:1', 'chair');
  return {
    kind: 'redis',
    port: server.port,
    password: server.password ?? '',
    protocol: redisProtocol((command) => {
      const tag = command[2];
      if (command[0] !== 'ACL' || tag?.startsWith('remit_') !== true) return undefined;
      return { what: command[1] === 'SETUSER' ? 'create' : 'delete', tag };
    }),
    async alive() {
      const users = (await admin.sendCommand(['ACL', 'LIST'])) as unknown as string[];
      const clients = String(await admin.sendCommand(['CLIENT', 'LIST']));
      const sessions = new Map<string, number>();
      for (const [, user = ''] of clients.matchAll(/ user=(remit_\S+)/g))
        sessions.set(user, (sessions.get(user) ?? 0) + 1);
      const found = users.map((line) => line.split(' ')[1] ?? '').filter((name) => name.startsWith('remit_'));
      return [...new Set([...found, ...sessions.keys()])].map((tag) => ({
        tag,
        sessions: sessions.get(tag) ?? 0,
        mayLogIn: found.includes(tag),
      }));
    },
    async stop() {
      admin.destroy();
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
