import { closeSync, openSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Kysely } from 'kysely';
import Libsql from 'libsql';
import { RemitError } from '../../domain/errors.ts';
import type { Store } from '../../seams/store.ts';
import { toFault } from './faults.ts';
import { makeStore } from './make-store.ts';
import type { Schema } from './schema.ts';
import { LibsqlDialect } from './sqlite-driver.ts';
import { diagnoseSqlite, isBusy } from './sqlite-faults.ts';

export interface SqliteOptions {
  /** The database file; made when missing, with mode 0600. Its folder must exist: a missing one may be an unmounted disk. */
  readonly path: string;
  /** Longest wait for another process's lock. Default 2,000 ms. */
  readonly busyMs?: number;
  /** Longest life of one transaction. Default 10,000 ms. */
  readonly transactionMs?: number;
  /** Largest size of the file in pages of 4 KiB; beyond it every write is `ERR_STORE_FULL`. Default: the disk's. */
  readonly maxPages?: number;
}

/** libsql is synchronous: a wait inside it holds up the whole process, so most of the waiting is done outside. */
const BLOCKING_WAIT_MS = 10;

/**
 * Opens the store in one SQLite file, for one gateway and any number of command lines beside it. There is one connection
 * and kysely lends it to one user at a time: a statement from outside a running transaction waits for its end.
 * @throws `ERR_STORE_UNREACHABLE`, `ERR_STORE_LOCKED`, `ERR_STORE_FULL`, `ERR_STORE_SCHEMA`
 */
export async function openSqlite(options: SqliteOptions): Promise<Store> {
  const { path, busyMs = 2_000 } = options;
  const file = await connect(path, busyMs, options.maxPages);
  const opened = statSync(path);
  return makeStore({
    queries: new Kysely<Schema>({ dialect: new LibsqlDialect(file) }),
    dialect: { name: 'sqlite', bytes: 'blob' },
    where: path,
    diagnose: diagnoseSqlite,
    isBusy,
    assertInPlace: () => {
      const found = statSync(path, { throwIfNoEntry: false });
      if (found?.ino === opened.ino && found.dev === opened.dev) return;
      // SQLite would go on writing to the file that has no name any more, and every row would be lost at its end.
      throw new RemitError('ERR_STORE_UNREACHABLE', 'the store’s file was removed or replaced while it was open', {
        where: path,
        hint: 'Put the file back, then restart the gateway.',
      });
    },
    busyMs,
    transactionMs: options.transactionMs ?? 10_000,
  });
}

async function connect(path: string, busyMs: number, maxPages: number | undefined): Promise<Libsql.Database> {
  const deadline = performance.now() + busyMs;
  for (;;) {
    let file: Libsql.Database | undefined;
    try {
      // SQLite gives its -wal and -shm files the mode of the main file.
      closeSync(openSync(path, 'a', 0o600));
      file = new Libsql(path);
      configure(file, maxPages);
      return file;
    } catch (error) {
      file?.close();
      if (!isBusy(error) || performance.now() >= deadline) throw toFault(error, path, diagnoseSqlite);
    }
    await delay(2 * BLOCKING_WAIT_MS);
  }
}

function configure(file: Libsql.Database, maxPages: number | undefined): void {
  file.exec(`PRAGMA busy_timeout = ${BLOCKING_WAIT_MS}`);
  file.exec('PRAGMA journal_mode = WAL');
  const mode = (file.prepare('PRAGMA journal_mode').all()[0] as { journal_mode: string } | undefined)?.journal_mode;
  if (mode !== 'wal') throw new Error(`unable to open with a write-ahead log (${mode}): is this a network disk?`);
  // A commit is on the disk when it returns (guarantee L1); NORMAL would lose the last ones with the power.
  file.exec('PRAGMA synchronous = FULL');
  file.exec('PRAGMA foreign_keys = ON');
  // What is deleted, such as an erased task key, is overwritten (guarantee A5).
  file.exec('PRAGMA secure_delete = ON');
  if (maxPages !== undefined) file.exec(`PRAGMA max_page_count = ${Math.trunc(maxPages)}`);
}
