import { RemitError } from '../../domain/errors.ts';
import type { RandomBytes } from '../../domain/ids.ts';
import { Secret } from '../../domain/secret.ts';
import type { Clock } from '../../seams/clock.ts';
import type { IssuedCredential, IssueRequest, Issuer } from '../../seams/issuer.ts';
import { describeFault, issueFault, orAbort } from './issuer-faults.ts';
import { assertLeaseTag } from './lease-tag.ts';
import { createAccount, type MysqlAccountBounds, quoteAccount } from './mysql-account.ts';
import { createMysqlAdmin, type MysqlAddress, MysqlFault, type MysqlSession } from './mysql-admin.ts';
import { createEvent } from './mysql-event.ts';
import { revokeUser } from './mysql-revoke.ts';
import { describeMysqlScope, grantStatement, mysqlPrivileges, mysqlTables, quoteString } from './mysql-scope.ts';

export interface MysqlIssuerOptions extends MysqlAddress, Partial<MysqlAccountBounds> {
  /** A database in which the admin may make events, at a server that runs them: then the server itself ends each user. */
  readonly eventDatabase?: string | undefined;
  readonly clock: Clock;
  readonly random: RandomBytes;
  /** Longest one revoke may take, milliseconds; it fails then and is tried again. */
  readonly revokeWithinMs?: number;
}

const REVOKE_WITHIN_MS = 15_000;
const LEAST_LIFE_MS = 1_000;
const LOOPBACK = new Set(['localhost', '127.0.0.1', '::1']);

/**
 * A user of MariaDB or MySQL per lease, with rights on the task's tables and nothing else. What everyone may do, it may too. The server ends it
 * only where it may run events; otherwise the gateway does, and where there is none, `remit reap` (guarantees L2, L3).
 */
export function createMysqlIssuer(options: MysqlIssuerOptions): Issuer {
  const { clock, random, eventDatabase, revokeWithinMs = REVOKE_WITHIN_MS } = options;
  const { userHost = '%', requireTls = false, maxConnections = 5, maxStatementSeconds = 60 } = options;
  const bounds = { userHost, requireTls, maxConnections, maxStatementSeconds };
  const admin = createMysqlAdmin(options);

  async function issue(request: IssueRequest): Promise<IssuedCredential> {
    const { tag, resources, actionClasses, signal } = request;
    assertLeaseTag(tag);
    // The gateway's own discovery asks for nothing: a user that may log in, for a server that does not start without one.
    const isBare = actionClasses.length === 0 && resources.length === 0;
    const privileges = isBare ? [] : mysqlPrivileges(actionClasses);
    const tables = isBare ? [] : mysqlTables(resources);
    const account = quoteAccount(tag, userHost);

    const password = await admin.run(async (session) => {
      const life = request.expiresAt - clock();
      if (life < LEAST_LIFE_MS) throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the lease ends before it begins');
      assertPrivate(session);
      await beginTurn(session, tag);
      if (eventDatabase !== undefined) {
        const seconds = Math.floor(life / 1000);
        await createEvent(session, { tag, host: userHost, database: eventDatabase, seconds });
      }
      signal.throwIfAborted();
      const made = await createAccount(session, tag, bounds, random);
      for (const table of tables) {
        signal.throwIfAborted();
        await session.query(grantStatement(table, privileges, account)).catch(explainGrant);
      }
      await session.query(`DO RELEASE_LOCK(${quoteString(tag)})`);
      return made;
    }, signal);

    return {
      fields: { username: new Secret(tag), password },
      scope: describeMysqlScope(privileges, tables),
      nativeExpiresAt: eventDatabase === undefined ? undefined : request.expiresAt,
    };
  }

  /** MySQL makes the password and sends it back, so that nobody may listen. */
  function assertPrivate({ dialect }: MysqlSession): void {
    if (dialect === 'mariadb' || options.tls || LOOPBACK.has(options.host)) return;
    throw new RemitError('ERR_CREDENTIAL_ISSUE', 'MySQL sends the password that it makes: over TLS, or on loopback', {
      hint: 'Set tls: true.',
    });
  }

  return {
    kind: 'mysql',
    downstream: admin.where,
    minTtlSeconds: eventDatabase === undefined ? 0 : 1,
    revocation: 'immediate',
    async issue(request) {
      try {
        return await issue(request);
      } catch (error) {
        throw issueFault(error, request.signal, {
          where: admin.where,
          what: 'no user could be made',
          hint: 'See that the server answers there and that the admin user may log in, make users, and grant on the tables.',
        });
      }
    },
    async revoke(lease) {
      const signal = AbortSignal.timeout(revokeWithinMs);
      try {
        assertLeaseTag(lease.tag);
        await orAbort(revokeUser(admin, lease.tag, eventDatabase, signal), signal, () => {});
      } catch (error) {
        const fault = signal.aborted ? `not done within ${revokeWithinMs} ms` : describeFault(error);
        throw new RemitError('ERR_CREDENTIAL_REVOKE', `user ${lease.tag} may still exist: ${fault}`, {
          where: admin.where,
          hint: 'It is tried again. See that the server answers and that the admin user has CREATE USER, PROCESS and CONNECTION ADMIN (MySQL: CONNECTION_ADMIN).',
          cause: error,
        });
      }
    },
    close: () => admin.close(),
  };
}

/** From before its first statement on, an issue holds the lock of its tag: a revoke can tell whether it is over (`mysql-revoke.ts`). */
async function beginTurn(session: MysqlSession, tag: string): Promise<void> {
  const [row] = await session.query(`SELECT GET_LOCK(${quoteString(tag)}, 0) AS got`);
  if (Number(row?.got) !== 1) throw new Error(`${tag} is being revoked`);
}

const UNKNOWN = new Set(['ER_NO_SUCH_TABLE', 'ER_BAD_FIELD_ERROR', 'ER_BAD_DB_ERROR']);
const NOT_OURS = new Set(['ER_TABLEACCESS_DENIED_ERROR', 'ER_COLUMNACCESS_DENIED_ERROR', 'ER_DBACCESS_DENIED_ERROR']);

function explainGrant(error: unknown): never {
  if (error instanceof MysqlFault && UNKNOWN.has(error.code)) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', describeFault(error), {
      hint: 'Correct the resource in the task or its template.',
      cause: error,
    });
  }
  if (error instanceof MysqlFault && NOT_OURS.has(error.code)) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', `the admin user cannot grant: ${describeFault(error)}`, {
      hint: 'Grant it the privileges on that table WITH GRANT OPTION.',
      cause: error,
    });
  }
  throw error;
}
