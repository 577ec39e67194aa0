import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { RemitError } from '../../domain/errors.ts';
import type { Secret } from '../../domain/secret.ts';
import { asOptions, LOOKS_FOR_SERVER, SERVER_LOOKS_FOR_US } from '../postgres/lost-peer.ts';
import { orAbort } from './issuer-faults.ts';

/** Where and as whom the issuer administers roles. */
export interface PostgresAddress {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly adminUser: string;
  /** Asked at every new connection, so that a changed secret needs no restart. Undefined for trust or peer. */
  readonly adminPassword: () => Promise<Secret | undefined>;
  readonly tls: boolean;
}

export type AdminClient = pg.ClientBase;

/** A few admin connections, bounded in number and in time. */
export interface PostgresAdmin {
  /** `host:port/database`, for messages. */
  readonly where: string;
  /** Runs `work` on a pooled connection; an abort ends the connection, and with it what was not committed. */
  run<T>(work: (client: AdminClient) => Promise<T>, signal: AbortSignal): Promise<T>;
  /** The same on a connection of its own to another database of the server. */
  runIn<T>(database: string, work: (client: AdminClient) => Promise<T>, signal: AbortSignal): Promise<T>;
  /**
   * Runs changes of access lists one at a time and again when someone else changed the same row: PostgreSQL answers
   * concurrent GRANTs on one table with "tuple concurrently updated". Not an advisory lock: any role may take those,
   * and a leased role could then hold up every other lease.
   */
  serialise<T>(work: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

const POOL_SIZE = 4;
const CONNECT_WITHIN_MS = 5_000;
const IDLE_MS = 30_000;
/** Of the server's own clock: an admin session never waits or idles longer, whatever becomes of this process. */
const STATEMENT_MS = 10_000;
const LOCK_MS = 2_000;
const CONFLICT_ATTEMPTS = 6;
/** Serialization failure, deadlock. */
const CONFLICTS = new Set(['40001', '40P01']);

export function createPostgresAdmin(address: PostgresAddress): PostgresAdmin {
  const { host, port, database } = address;
  const where = `${host}:${port}/${database}`;
  const settings: pg.ClientConfig = {
    host,
    port,
    database,
    user: address.adminUser,
    // A function even where there is no password: otherwise `pg` looks into PGPASSWORD and ~/.pgpass.
    password: (async () => (await address.adminPassword())?.reveal()) as () => Promise<string>,
    ssl: address.tls ? { rejectUnauthorized: true } : false,
    application_name: 'remit',
    ...LOOKS_FOR_SERVER,
    query_timeout: STATEMENT_MS + 2_000,
    connectionTimeoutMillis: CONNECT_WITHIN_MS,
    // search_path: a leased role's objects in `public` must never be picked up by an admin statement (CVE-2018-1058).
    options: asOptions({
      search_path: 'pg_catalog',
      statement_timeout: STATEMENT_MS,
      lock_timeout: LOCK_MS,
      idle_in_transaction_session_timeout: STATEMENT_MS,
      ...SERVER_LOOKS_FOR_US,
    }),
  };
  const pool = new pg.Pool({ ...settings, max: POOL_SIZE, idleTimeoutMillis: IDLE_MS, allowExitOnIdle: true });
  // A pooled connection that breaks is replaced at the next use; without a listener it would end the process, from the moment on in which the server lets it in.
  pool.on('error', ignore);
  pool.on('connect', (client) => {
    client.on('error', ignore);
    forgetPassword(client);
  });
  let lastChange: Promise<unknown> = Promise.resolve();

  return {
    where,
    async run(work, signal) {
      const client = await orAbort(pool.connect(), signal, (late) => late.release());
      let isReleased = false;
      const release = (destroy: boolean) => {
        if (!isReleased) client.release(destroy);
        isReleased = true;
      };
      const abort = () => release(true);
      signal.addEventListener('abort', abort, { once: true });
      try {
        const result = await work(client);
        release(false);
        return result;
      } catch (error) {
        release(!isHarmless(error));
        throw error;
      } finally {
        signal.removeEventListener('abort', abort);
      }
    },
    async runIn(name, work, signal) {
      const client = new pg.Client({ ...settings, database: name });
      client.on('error', ignore);
      const end = () => void client.end().catch(() => {});
      signal.addEventListener('abort', end, { once: true });
      try {
        await orAbort(client.connect(), signal, () => {});
        forgetPassword(client);
        return await work(client);
      } finally {
        signal.removeEventListener('abort', end);
        end();
      }
    },
    serialise(work) {
      const turn = lastChange.then(() => retryConflicts(work));
      lastChange = turn.catch(() => {});
      return turn;
    },
    close: () => (pool.ending ? Promise.resolve() : pool.end()),
  };
}

function ignore(): void {}

/** `pg` would keep the password on each connection for as long as that lives, and needs it once (guarantee L6). */
function forgetPassword(client: pg.ClientBase): void {
  const holder = client as unknown as { password: unknown; connectionParameters?: { password: unknown } };
  holder.password = null;
  if (holder.connectionParameters !== undefined) holder.connectionParameters.password = null;
}

/** An error of one statement leaves the connection usable; anything else might not. */
function isHarmless(error: unknown): boolean {
  return error instanceof RemitError || (error instanceof pg.DatabaseError && error.severity === 'ERROR');
}

async function retryConflicts<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!isConflict(error) || attempt === CONFLICT_ATTEMPTS) throw error;
      await delay(10 * 2 ** attempt);
    }
  }
}

export function isConflict(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError)) return false;
  return CONFLICTS.has(error.code ?? '') || /tuple concurrently (updated|deleted)/.test(error.message);
}

export function isLockTimeout(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '55P03';
}

/** Runs statements in one transaction: all of it, or none. */
export async function inTransaction<T>(client: AdminClient, work: () => Promise<T>): Promise<T> {
  await client.query('BEGIN');
  try {
    const result = await work();
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
}
