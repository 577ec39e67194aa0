import { Kysely, PostgresDialect, type PostgresPool } from 'kysely';
import { Pool, type PoolClient, types } from 'pg';
import { RemitError } from '../../domain/errors.ts';
import type { Store } from '../../seams/store.ts';
import { asOptions, LOOKS_FOR_SERVER, SERVER_LOOKS_FOR_US } from '../postgres/lost-peer.ts';
import { placeOfUrl, WRITE_THE_URL } from '../postgres/place-of-url.ts';
import { lendConnection } from './lend-connection.ts';
import { makeStore } from './make-store.ts';
import { diagnosePostgres, isConnectionLost } from './postgres-faults.ts';
import { createPostgresNotices } from './postgres-notices.ts';
import type { Schema } from './schema.ts';
import type { Prepared } from './task-place-repository.ts';

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database?sslmode=…`. Holds a secret: never shown. */
  readonly url: string;
  /** Connections at most. Default 10. */
  readonly connections?: number;
  /** Longest wait for a connection. Default 3,000 ms. */
  readonly connectMs?: number;
  /** Longest wait for another session's lock. Default 2,000 ms. */
  readonly lockMs?: number;
  /** Longest run of one statement at the server; the answer may take one second more. Default 5,000 ms. */
  readonly statementMs?: number;
  /** Longest life of one transaction. Default 10,000 ms. */
  readonly transactionMs?: number;
}

/** Type id of bigint, which `pg` reads as text. Our times and counts are far below 2^53. */
const INT8 = 20;

/**
 * Opens the store in a PostgreSQL database, for any number of gateways.
 * @throws `ERR_STORE_UNREACHABLE`, `ERR_STORE_LOCKED`, `ERR_STORE_FULL`, `ERR_STORE_SCHEMA`
 */
export async function openPostgres(options: PostgresOptions): Promise<Store> {
  const where = describeUrl(options.url);
  const statementMs = options.statementMs ?? 5_000;
  const transactionMs = options.transactionMs ?? 10_000;
  const connectMs = options.connectMs ?? 3_000;
  const pool = new Pool({
    connectionString: options.url,
    application_name: 'remit',
    max: options.connections ?? 10,
    connectionTimeoutMillis: connectMs,
    idleTimeoutMillis: 30_000,
    // One that cannot be ended, since nothing comes through, would keep the process.
    allowExitOnIdle: true,
    ...LOOKS_FOR_SERVER,
    lock_timeout: options.lockMs ?? 2_000,
    statement_timeout: statementMs,
    // A server or a network that hangs sends no timeout of its own.
    query_timeout: statementMs + 1_000,
    idle_in_transaction_session_timeout: transactionMs + 1_000,
    // A commit is on the disk when it returns (guarantee L1), whatever the database's default is.
    options: asOptions({ synchronous_commit: 'on', ...SERVER_LOOKS_FOR_US }),
    types: { getTypeParser: (id, format) => (id === INT8 ? Number : types.getTypeParser(id, format)) },
  });
  // The pool listens to idle connections only: one that breaks while it is lent would end the process.
  pool.on('connect', (client) => client.on('error', ignore));
  pool.on('error', ignore);
  const lend = (): Promise<PoolClient> => lendConnection(pool, connectMs);
  return makeStore({
    queries: new Kysely<Schema>({ dialect: new PostgresDialect({ pool: discardingPool(pool, lend) }) }),
    dialect: { name: 'postgres', bytes: 'bytea' },
    where,
    diagnose: diagnosePostgres,
    isBusy: () => false,
    assertInPlace: ignore,
    busyMs: 0,
    transactionMs,
    shared: {
      notices: createPostgresNotices(pool, {
        connectionString: options.url,
        application_name: 'remit notices',
        connectionTimeoutMillis: connectMs,
        query_timeout: statementMs + 1_000,
        ...LOOKS_FOR_SERVER,
        options: asOptions(SERVER_LOOKS_FOR_US),
      }),
      prepared: preparedOn(lend),
    },
  });
}

/** Host, port and database of the URL, without user and password. */
function describeUrl(text: string): string {
  const place = placeOfUrl(text);
  if (place !== undefined) return place;
  // Not the text, and no cause: either would hold the password.
  throw new RemitError('ERR_STORE_UNREACHABLE', 'the address of the PostgreSQL store is not a postgres:// URL', {
    where: 'store.urlVariable',
    hint: WRITE_THE_URL,
  });
}

/** The pool as kysely uses it, but a connection whose state is unknown is closed instead of lent again. */
function discardingPool(pool: Pool, lend: () => Promise<PoolClient>): PostgresPool {
  return {
    connect: async () => discardingClient(await lend()) as never,
    end: () => pool.end(),
  };
}

function discardingClient(client: PoolClient) {
  let lost: Error | undefined;
  return {
    query: async (text: string, parameters: unknown[]) => {
      // A hung connection would make its ROLLBACK wait as long again.
      if (lost !== undefined) throw lost;
      try {
        const result = await client.query(text, parameters);
        if (text === 'commit' && result.command !== 'COMMIT') throw new Error('the transaction was not committed');
        return result;
      } catch (error) {
        const isStateUnknown = isConnectionLost(error) || text === 'commit' || text === 'rollback';
        if (isStateUnknown) lost = error instanceof Error ? error : new Error(String(error));
        throw error;
      }
    },
    release: () => client.release(lost !== undefined),
  };
}

/** One statement on a connection that is lent for it; closed after a fault that leaves its state unknown. */
function preparedOn(lend: () => Promise<PoolClient>): Prepared {
  return async (name, text, values) => {
    const client = await lend();
    let isLost = false;
    try {
      return (await client.query({ name, text, values: values as unknown[] })).rows;
    } catch (error) {
      isLost = isConnectionLost(error);
      throw error;
    } finally {
      client.release(isLost);
    }
  };
}

function ignore(): void {}
