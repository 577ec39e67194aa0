import { createHash } from 'node:crypto';
import { RemitError } from '../../domain/errors.ts';
import type { RandomBytes } from '../../domain/ids.ts';
import { Secret } from '../../domain/secret.ts';
import type { MysqlSession } from './mysql-admin.ts';
import { quoteString } from './mysql-scope.ts';

/** What bounds a leased user besides its rights. */
export interface MysqlAccountBounds {
  /** Host part of the account's name: where it may come from, `%` for any. */
  readonly userHost: string;
  /** Whether it must come by TLS. */
  readonly requireTls: boolean;
  readonly maxConnections: number;
  /** Longest one statement of it may take, in seconds. MariaDB only. */
  readonly maxStatementSeconds: number;
}

/** `'remit_…'@'%'`. */
export function quoteAccount(tag: string, host: string): string {
  return `${quoteString(tag)}@${quoteString(host)}`;
}

/**
 * Makes the account, without any right, so that no log of the server ever holds its password: MariaDB is sent the hash (it writes statements
 * into its general log as they came), and MySQL makes the password itself (MySQL manual section 15.7.1.3, `RANDOM PASSWORD`).
 */
export async function createAccount(
  session: MysqlSession,
  tag: string,
  bounds: MysqlAccountBounds,
  random: RandomBytes,
): Promise<Secret> {
  const create = `CREATE USER ${quoteAccount(tag, bounds.userHost)} IDENTIFIED`;
  const require = bounds.requireTls ? 'REQUIRE SSL' : 'REQUIRE NONE';
  const limit = `WITH MAX_USER_CONNECTIONS ${bounds.maxConnections}`;
  if (session.dialect === 'mysql') {
    const [row] = await session.query(`${create} BY RANDOM PASSWORD ${require} ${limit}`);
    const password = row?.['generated password'];
    if (typeof password === 'string' && password.length >= 20) return new Secret(password);
    throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the server gave no password that is long enough');
  }
  const password = Buffer.from(random(32)).toString('base64url');
  const hash = nativePasswordHash(password);
  const seconds = `MAX_STATEMENT_TIME ${bounds.maxStatementSeconds}`;
  await session.query(`${create} VIA mysql_native_password USING '${hash}' ${require} ${limit} ${seconds}`);
  return new Secret(password);
}

/** What MariaDB keeps of a password for `mysql_native_password`. Of 256 random bits nobody finds it, fast as SHA-1 is. */
export function nativePasswordHash(password: string): string {
  const sha1 = (bytes: string | Buffer) => createHash('sha1').update(bytes).digest();
  return `*${sha1(sha1(password)).toString('hex').toUpperCase()}`;
}
