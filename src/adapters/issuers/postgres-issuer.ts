import { RemitError } from '../../domain/errors.ts';
import type { RandomBytes } from '../../domain/ids.ts';
import { Secret } from '../../domain/secret.ts';
import type { Clock } from '../../seams/clock.ts';
import type { IssuedCredential, IssueRequest, Issuer } from '../../seams/issuer.ts';
import { describeFault, issueFault, orAbort } from './issuer-faults.ts';
import { isLeaseTag } from './lease-tag.ts';
import { createPostgresAdmin, inTransaction, type PostgresAddress } from './postgres-admin.ts';
import { assertGranted, roleStatements, type SessionTimeouts, surveyTables } from './postgres-grant.ts';
import { revokeRole } from './postgres-revoke.ts';
import { describeScope, parseTables, privilegesOf } from './postgres-scope.ts';
import { scramVerifier } from './scram-verifier.ts';

export interface PostgresIssuerOptions extends PostgresAddress {
  readonly clock: Clock;
  readonly random: RandomBytes;
  /** Defaults of a leased role's sessions, milliseconds; never longer than the lease. */
  readonly timeouts?: SessionTimeouts;
  /** Longest one revoke may take, milliseconds; it fails then and is tried again. */
  readonly revokeWithinMs?: number;
}

const TIMEOUTS: SessionTimeouts = { statement: 60_000, lock: 10_000, idleInTransaction: 60_000 };
const REVOKE_WITHIN_MS = 15_000;
const LEAST_LIFE_MS = 1_000;

/**
 * A PostgreSQL role per lease: it may log in until the lease ends, and may do on the task's tables what the task's
 * action classes come to (`postgres-scope.ts`) and nothing else. What everyone may do, it may too: PUBLIC's rights are
 * the database owner's to tighten.
 */
export function createPostgresIssuer(options: PostgresIssuerOptions): Issuer {
  const { clock, random, timeouts = TIMEOUTS, revokeWithinMs = REVOKE_WITHIN_MS } = options;
  const admin = createPostgresAdmin(options);

  async function issue(request: IssueRequest): Promise<IssuedCredential> {
    if (!isLeaseTag(request.tag)) throw new Error(`${JSON.stringify(request.tag)} is not a role name of ours`);
    // The gateway's own discovery asks for nothing: a role that may log in, for a server that does not start without one.
    const isBare = request.actionClasses.length === 0 && request.resources.length === 0;
    const privileges = isBare ? [] : privilegesOf(request.actionClasses);
    const tables = isBare ? [] : parseTables(request.resources);
    const password = Buffer.from(random(32)).toString('base64url');
    const verifier = await scramVerifier(password, random);

    const nativeExpiresAt = await admin.run(async (client) => {
      const survey = await surveyTables(client, tables);
      // Our clock is read after the server's, so what remains is never rounded up.
      const life = request.expiresAt - clock();
      if (life < LEAST_LIFE_MS) throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the lease ends before it begins');
      const validUntil = Math.floor(survey.now + life);
      const statements = roleStatements(request, survey, privileges, verifier, validUntil, timeouts);
      await admin.serialise(async () => {
        request.signal.throwIfAborted();
        await inTransaction(client, async () => {
          await client.query(statements);
          await assertGranted(client, request.tag, survey, privileges);
        });
      });
      return request.expiresAt;
    }, request.signal);

    return {
      fields: { username: new Secret(request.tag), password: new Secret(password) },
      scope: describeScope(privileges, tables),
      nativeExpiresAt,
    };
  }

  return {
    kind: 'postgres',
    downstream: admin.where,
    minTtlSeconds: 1,
    revocation: 'immediate',
    async issue(request) {
      try {
        // The wait for a turn or a connection ends with the signal too; what was not committed by then never is.
        return await orAbort(issue(request), request.signal, () => {});
      } catch (error) {
        throw issueFault(error, request.signal, {
          where: admin.where,
          what: 'no role could be made',
          hint: 'See that the server answers there and that the admin user may log in, create roles and grant on the tables.',
        });
      }
    },
    async revoke(lease) {
      const signal = AbortSignal.timeout(revokeWithinMs);
      try {
        if (!isLeaseTag(lease.tag)) throw new Error(`${JSON.stringify(lease.tag)} is not a role name of ours`);
        await orAbort(revokeRole(admin, lease.tag, signal), signal, () => {});
      } catch (error) {
        const fault = signal.aborted ? `not done within ${revokeWithinMs} ms` : describeFault(error);
        throw new RemitError('ERR_CREDENTIAL_REVOKE', `role ${lease.tag} may still exist: ${fault}`, {
          where: admin.where,
          hint: 'It is tried again. See that the server answers and that the admin role made the role or is a superuser.',
          cause: error,
        });
      }
    },
    close: () => admin.close(),
  };
}
