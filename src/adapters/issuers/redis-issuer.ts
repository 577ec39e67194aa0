import { createHash } from 'node:crypto';
import { RemitError } from '../../domain/errors.ts';
import type { RandomBytes } from '../../domain/ids.ts';
import { Secret } from '../../domain/secret.ts';
import type { Clock } from '../../seams/clock.ts';
import type { IssuedCredential, IssueRequest, Issuer } from '../../seams/issuer.ts';
import { describeFault, issueFault, orAbort } from './issuer-faults.ts';
import { assertLeaseTag } from './lease-tag.ts';
import { createRedisAdmin, type RedisAddress } from './redis-admin.ts';
import { describeRedisScope, redisRules, redisScope } from './redis-rules.ts';

export interface RedisIssuerOptions extends RedisAddress {
  /** The one database that a leased user may select. */
  readonly database?: number;
  /** Runs ACL SAVE after each revoke, for a server that keeps its users in a file: someone may have saved the leased one. */
  readonly savesUsers?: boolean;
  readonly clock: Clock;
  readonly random: RandomBytes;
  /** Longest one revoke may take, milliseconds; it fails then and is tried again. */
  readonly revokeWithinMs?: number;
}

const REVOKE_WITHIN_MS = 10_000;

/**
 * A Redis ACL user per lease, bound to the keys that the task names. Redis ends no user by itself, so what it gives has no
 * native expiry: the gateway ends it, and where there is none, `remit reap` (guarantees L2, L3).
 */
export function createRedisIssuer(options: RedisIssuerOptions): Issuer {
  const { clock, random, database = 0, savesUsers = false, revokeWithinMs = REVOKE_WITHIN_MS } = options;
  const admin = createRedisAdmin(options);

  async function issue(request: IssueRequest): Promise<IssuedCredential> {
    const { tag, resources, actionClasses, expiresAt, signal } = request;
    assertLeaseTag(tag);
    // The gateway's own discovery asks for nothing: a user that may connect, for a server that does not start without one.
    const isBare = actionClasses.length === 0 && resources.length === 0;
    const scope = isBare ? undefined : redisScope(resources, actionClasses);
    if (expiresAt <= clock()) throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the lease ends before it begins');
    const password = Buffer.from(random(32)).toString('base64url');
    const hash = createHash('sha256').update(password).digest('hex');
    await admin.run(['ACL', 'SETUSER', tag, ...redisRules(scope, hash, database)], signal);
    return {
      fields: { username: new Secret(tag), password: new Secret(password) },
      scope: scope === undefined ? 'no rights' : describeRedisScope(scope),
      nativeExpiresAt: undefined,
    };
  }

  async function revoke(tag: string, signal: AbortSignal): Promise<void> {
    assertLeaseTag(tag);
    // Ends the user's connections too. None of that name is as good.
    await admin.run(['ACL', 'DELUSER', tag], signal);
    if (savesUsers) await admin.run(['ACL', 'SAVE'], signal);
  }

  return {
    kind: 'redis',
    downstream: admin.where,
    minTtlSeconds: 0,
    revocation: 'immediate',
    async issue(request) {
      try {
        return await issue(request);
      } catch (error) {
        throw issueFault(error, request.signal, {
          where: admin.where,
          what: 'no ACL user could be made',
          hint: 'See that a Redis of version 7 or later answers there and that the admin user may run ACL SETUSER.',
        });
      }
    },
    async revoke(lease) {
      const signal = AbortSignal.timeout(revokeWithinMs);
      try {
        await orAbort(revoke(lease.tag, signal), signal, () => {});
      } catch (error) {
        // A server that does not answer on this connection may do so on another.
        if (signal.aborted) admin.drop();
        const fault = signal.aborted ? `not done within ${revokeWithinMs} ms` : describeFault(error);
        throw new RemitError('ERR_CREDENTIAL_REVOKE', `user ${lease.tag} may still exist: ${fault}`, {
          where: admin.where,
          hint: 'It is tried again. See that the server answers and that the admin user may run ACL DELUSER, and ACL SAVE where saveUsers is on.',
          cause: error,
        });
      }
    },
    close: () => admin.close(),
  };
}
