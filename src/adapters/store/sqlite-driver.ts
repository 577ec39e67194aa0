import {
  type CompiledQuery,
  type DatabaseConnection,
  type QueryResult,
  type SqliteDatabase,
  SqliteDialect,
  SqliteDriver,
} from 'kysely';
import type Libsql from 'libsql';

/** Statement texts that are kept prepared; ours are a few dozen, lists of different lengths make the rest. */
const PREPARED_AT_MOST = 200;

const DATA_STATEMENTS: readonly string[] = ['SelectQueryNode', 'InsertQueryNode', 'UpdateQueryNode', 'DeleteQueryNode'];

/** kysely's SQLite dialect over one libsql connection, which is lent to one user at a time. */
export class LibsqlDialect extends SqliteDialect {
  readonly #file: Libsql.Database;

  constructor(file: Libsql.Database) {
    super({ database: file as unknown as SqliteDatabase });
    this.#file = file;
  }

  override createDriver(): SqliteDriver {
    return new LibsqlDriver(this.#file);
  }
}

/**
 * Transactions begin and end through `exec`, never through a prepared statement: libsql does not reset a prepared write
 * that met SQLITE_BUSY, and until the garbage collector frees it every later write of the connection is reported as done
 * and yet not committed. Hence no write may run before the write lock is held, and single writes get a transaction too.
 */
class LibsqlDriver extends SqliteDriver {
  readonly #file: Libsql.Database;
  readonly #connection: LibsqlConnection;

  constructor(file: Libsql.Database) {
    super({ database: file as unknown as SqliteDatabase });
    this.#file = file;
    this.#connection = new LibsqlConnection(file);
  }

  /** A transaction whose rollback failed must not swallow the statements of the next user. */
  override async acquireConnection(): Promise<DatabaseConnection> {
    await super.acquireConnection();
    try {
      if (this.#file.inTransaction) this.#file.exec('ROLLBACK');
      return this.#connection;
    } catch (error) {
      await this.releaseConnection();
      throw error;
    }
  }

  /** Immediate: a transaction that reads first could no longer wait for its turn to write (SQLITE_BUSY_SNAPSHOT). */
  override async beginTransaction(): Promise<void> {
    this.#file.exec('BEGIN IMMEDIATE');
  }

  override async commitTransaction(): Promise<void> {
    this.#file.exec('COMMIT');
  }

  override async rollbackTransaction(): Promise<void> {
    this.#file.exec('ROLLBACK');
  }

  /**
   * Closes, after emptying the write-ahead log, which still holds what was overwritten. That it stays because another
   * process reads it, or because the disk is gone, is no reason not to close.
   */
  override async destroy(): Promise<void> {
    try {
      this.#file.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    } catch {
      // The next one to close empties it.
    }
    this.#file.close();
  }
}

class LibsqlConnection implements DatabaseConnection {
  readonly #file: Libsql.Database;
  readonly #prepared = new Map<string, Libsql.Statement<unknown[]>>();

  constructor(file: Libsql.Database) {
    this.#file = file;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    if (this.#file.inTransaction || query.query.kind === 'SelectQueryNode') return this.#run(query);
    this.#file.exec('BEGIN IMMEDIATE');
    try {
      const result = this.#run<R>(query);
      this.#file.exec('COMMIT');
      return result;
    } catch (error) {
      if (this.#file.inTransaction) this.#file.exec('ROLLBACK');
      throw error;
    }
  }

  #run<R>({ sql, parameters, query }: CompiledQuery): QueryResult<R> {
    const statement = this.#prepare(sql, DATA_STATEMENTS.includes(query.kind));
    try {
      if (statement.reader) return { rows: statement.all(parameters) as R[] };
      return { rows: [], numAffectedRows: BigInt(statement.run(parameters).changes) };
    } catch (error) {
      this.#prepared.delete(sql);
      throw error;
    }
  }

  #prepare(sql: string, isKept: boolean): Libsql.Statement<unknown[]> {
    const known = this.#prepared.get(sql);
    if (known !== undefined) return known;
    const statement = this.#file.prepare(sql);
    if (!isKept) return statement;
    const [oldest] = this.#prepared.keys();
    if (this.#prepared.size >= PREPARED_AT_MOST && oldest !== undefined) this.#prepared.delete(oldest);
    this.#prepared.set(sql, statement);
    return statement;
  }

  async *streamQuery(): AsyncIterableIterator<never> {
    yield* [];
    throw new Error('the store does not stream');
  }
}
