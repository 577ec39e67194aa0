import { type Connection, createConnection, type QueryError } from 'mysql2';
import { RemitError } from '../../domain/errors.ts';
import type { Secret } from '../../domain/secret.ts';
import { orAbort } from './issuer-faults.ts';

/** Where and as whom the issuer administers users. */
export interface MysqlAddress {
  readonly host: string;
  readonly port: number;
  readonly adminUser: string;
  /** Asked at every new connection, so that a changed secret needs no restart. Undefined for a user without one. */
  readonly adminPassword: () => Promise<Secret | undefined>;
  readonly tls: boolean;
}

export type MysqlDialect = 'mariadb' | 'mysql';

export type Row = Readonly<Record<string, unknown>>;

export interface MysqlSession {
  readonly dialect: MysqlDialect;
  /** @throws {MysqlFault} */
  query(sql: string): Promise<readonly Row[]>;
}

/** A few admin connections, bounded in number and in time. */
export interface MysqlAdmin {
  /** `host:port`, for messages. */
  readonly where: string;
  /** Runs `work` on a connection of its own. An abort, or a failure, ends the connection, and with it the locks that it holds. */
  run<T>(work: (session: MysqlSession) => Promise<T>, signal: AbortSignal): Promise<T>;
  close(): Promise<void>;
}

/** What the server answered, or what became of the connection. Without the statement, which the library's own error carries. */
export class MysqlFault extends Error {
  readonly code: string;
  constructor({ code, message }: QueryError) {
    super(message);
    this.name = 'MysqlFault';
    this.code = code;
  }
}

const MOST_SESSIONS = 4;
const CONNECT_WITHIN_MS = 5_000;
/** An unused connection is closed after this, so that none is used which the network has forgotten. */
const IDLE_MS = 30_000;
/** Of the server's own clock: an admin statement waits no longer for a lock, such as a backup's. */
const LOCK_SECONDS = 5;
/** Of passwords that MySQL makes: letters, digits and punctuation, 6 bits each and more. */
const PASSWORD_LENGTH = 43;

interface Held extends MysqlSession {
  readonly connection: Connection;
  isBroken(): boolean;
  idle: NodeJS.Timeout | undefined;
}

export function createMysqlAdmin(address: MysqlAddress): MysqlAdmin {
  const where = `${address.host}:${address.port}`;
  const idle: Held[] = [];
  const waiting: (() => void)[] = [];
  let open = 0;
  let isClosed = false;

  async function takeTurn(signal: AbortSignal): Promise<void> {
    if (open < MOST_SESSIONS) {
      open++;
      return;
    }
    let wake = (): void => {};
    const turn = new Promise<void>((resolve) => {
      wake = resolve;
      waiting.push(wake);
    });
    try {
      await orAbort(turn, signal, () => {});
    } catch (error) {
      const at = waiting.indexOf(wake);
      if (at === -1) giveTurn();
      else waiting.splice(at, 1);
      throw error;
    }
  }

  function giveTurn(): void {
    const next = waiting.shift();
    if (next === undefined) open--;
    else next();
  }

  function takeIdle(): Held | undefined {
    const held = idle.pop();
    clearTimeout(held?.idle);
    return held;
  }

  function keep(held: Held): void {
    if (isClosed || held.isBroken()) {
      held.connection.destroy();
      return;
    }
    held.idle = setTimeout(() => {
      idle.splice(idle.indexOf(held), 1);
      held.connection.destroy();
    }, IDLE_MS);
    held.idle.unref();
    idle.push(held);
  }

  return {
    where,
    async run(work, signal) {
      signal.throwIfAborted();
      if (isClosed) throw new Error('the issuer is closed');
      await takeTurn(signal);
      let held: Held | undefined;
      const abort = () => held?.connection.destroy();
      signal.addEventListener('abort', abort, { once: true });
      try {
        held = takeIdle() ?? (await connect(address, signal));
        signal.throwIfAborted();
        const result = await orAbort(work(held), signal, () => {});
        keep(held);
        return result;
      } catch (error) {
        held?.connection.destroy();
        throw error;
      } finally {
        signal.removeEventListener('abort', abort);
        giveTurn();
      }
    },
    async close() {
      isClosed = true;
      for (let held = takeIdle(); held !== undefined; held = takeIdle()) held.connection.destroy();
    },
  };
}

async function connect(address: MysqlAddress, signal: AbortSignal): Promise<Held> {
  const password = await orAbort(address.adminPassword(), signal, () => {});
  const connection = createConnection({
    host: address.host,
    port: address.port,
    user: address.adminUser,
    ...(password !== undefined && { password: password.reveal() }),
    // Without verifyIdentity the library takes any certificate that a known authority signed, for whatever host.
    ...(address.tls && { ssl: { rejectUnauthorized: true, verifyIdentity: true } }),
    charset: 'UTF8MB4_GENERAL_CI',
    connectTimeout: CONNECT_WITHIN_MS,
    supportBigNumbers: true,
    // A server may ask its client for files and for several statements' worth of trouble: neither is offered.
    flags: ['-LOCAL_FILES', '-MULTI_STATEMENTS'],
  });
  // A connection that breaks while idle is not used again; without a listener it would end the process.
  let isBroken = false;
  for (const event of ['error', 'end']) {
    connection.on(event, () => {
      isBroken = true;
    });
  }
  const ask = (sql: string) => query(connection, sql);
  try {
    const opening = new Promise<void>((resolve, reject) => {
      connection.connect((error) => (error === null ? resolve() : reject(new MysqlFault(error))));
    });
    await orAbort(opening, signal, () => {});
    forgetPassword(connection);
    const dialect = await orAbort(prepare(ask), signal, () => {});
    return { connection, dialect, query: ask, isBroken: () => isBroken, idle: undefined };
  } catch (error) {
    connection.destroy();
    throw error;
  }
}

/** The library would keep the password on each connection for as long as that lives, and needs it once (guarantee L6). */
function forgetPassword(connection: Connection): void {
  const { config } = connection as unknown as { config: Record<string, unknown> };
  for (const key of ['password', 'password1', 'passwordSha1']) delete config[key];
}

/**
 * What every admin session relies on: how texts are quoted, that GRANT makes no user (MariaDB would, without a password, for one whose user was
 * dropped meanwhile), that no wait is without end. And that it sees what revoking has to see: without PROCESS the list of
 * sessions shows its own alone, and then every revoke would seem done.
 */
async function prepare(ask: MysqlSession['query']): Promise<MysqlDialect> {
  const [row] = await ask('SELECT VERSION() AS version');
  const version = String(row?.version);
  const dialect = /mariadb/i.test(version) ? 'mariadb' : 'mysql';
  const modes = [
    'STRICT_ALL_TABLES',
    'NO_BACKSLASH_ESCAPES',
    ...(dialect === 'mariadb' ? ['NO_AUTO_CREATE_USER'] : []),
  ];
  const settings = [
    `sql_mode = '${modes.join(',')}'`,
    `lock_wait_timeout = ${LOCK_SECONDS}`,
    ...(dialect === 'mysql' ? [`generated_random_password_length = ${PASSWORD_LENGTH}`] : []),
  ];
  await ask(`SET SESSION ${settings.join(', ')}`);
  // Each asks for the right itself, so that a role or a right on everything does as well.
  await needing('PROCESS', ask('SELECT COUNT(*) FROM information_schema.INNODB_CMPMEM'));
  await needing('SELECT (User, Host) ON mysql.user', ask("SELECT Host FROM mysql.user WHERE User = '' LIMIT 1"));
  return dialect;
}

async function needing(right: string, answer: Promise<unknown>): Promise<void> {
  await answer.catch((error: unknown) => {
    if (!isRefusal(error)) throw error;
    throw new RemitError('ERR_CREDENTIAL_ISSUE', `the admin user lacks ${right}: what it makes it could not revoke`, {
      hint: `Grant it ${right}. What it needs is in docs/how-to/choose-an-issuer.md.`,
    });
  });
}

/** Access denied: to the server, a database, a table, a column, or for want of a right on everything. */
export function isRefusal(error: unknown): boolean {
  return error instanceof MysqlFault && /^ER_(SPECIFIC_|DB|TABLE|COLUMN)?ACCESS_?DENIED/.test(error.code);
}

function query(connection: Connection, sql: string): Promise<readonly Row[]> {
  return new Promise((resolve, reject) => {
    connection.query(sql, (error: QueryError | null, rows: unknown) => {
      if (error !== null) reject(new MysqlFault(error));
      else resolve(Array.isArray(rows) ? (rows as Row[]) : []);
    });
  });
}
