import { defaultUser, type User } from '@nats-io/jwt';
import { RemitError } from '../../domain/errors.ts';
import type { Lease } from '../../domain/lease.ts';
import { Secret } from '../../domain/secret.ts';
import type { Clock } from '../../seams/clock.ts';
import type { IssuedCredential, IssueRequest, Issuer } from '../../seams/issuer.ts';
import { describeFault, issueFault, orAbort } from './issuer-faults.ts';
import { assertLeaseTag } from './lease-tag.ts';
import { takesUsersOf } from './nats-account.ts';
import { createNatsAdmin, type NatsAddress } from './nats-admin.ts';
import { signJwt } from './nats-jwt.ts';
import { createNatsRevoker } from './nats-revoker.ts';
import { describeNatsScope, inboxOf, type NatsScope, natsPermissions, natsScope } from './nats-scope.ts';
import { readTrusted } from './nats-trust.ts';
import { deriveUser, nkeyOf } from './nkey.ts';

export interface NatsIssuerOptions extends NatsAddress {
  /** Seed of a signing key of the account, or of the account itself (`SA…`). Asked at every use. */
  readonly accountKey: () => Promise<Secret>;
  /** Seed of a signing key of the operator (`SO…`): an account's list of revoked users is part of what its operator signs. */
  readonly operatorKey: () => Promise<Secret>;
  /** Public key of the operator's identity (`O…`): whoever it trusts with accounts is trusted. */
  readonly operator: string;
  /** CIDRs that leased users may come from; none: any. */
  readonly sources: readonly string[];
  readonly connectionTypes: readonly ('STANDARD' | 'WEBSOCKET' | 'MQTT')[];
  readonly clock: Clock;
  /** Longest one revoke may take, milliseconds; it fails then and is tried again. */
  readonly revokeWithinMs?: number;
}

const REVOKE_WITHIN_MS = 15_000;
const LEAST_LIFE_MS = 2_000;

/**
 * A NATS user per lease, at servers in operator mode with a full resolver: a JWT that the account's key signs, which the servers end with the lease,
 * its connections included. Nothing is made there until it is revoked; then its account is.
 */
export function createNatsIssuer(options: NatsIssuerOptions): Issuer {
  const { account, operator, clock, revokeWithinMs = REVOKE_WITHIN_MS } = options;
  const admin = createNatsAdmin(options, (jwt) => revoker.check(jwt));
  const revoker = createNatsRevoker({
    admin: () => admin,
    account,
    operator,
    operatorKey: async () => nkeyOf(await options.operatorKey(), 'O', 'operatorKey'),
    clock,
    roundMs: revokeWithinMs,
  });

  async function issue(request: IssueRequest): Promise<IssuedCredential> {
    const { tag, resources, actionClasses, expiresAt, signal } = request;
    assertLeaseTag(tag);
    // The gateway's own discovery asks for nothing: a user that may connect, for a server that does not start without one.
    const isBare = actionClasses.length === 0 && resources.length === 0;
    const scope = isBare ? undefined : natsScope(resources, actionClasses);
    if (expiresAt - clock() < LEAST_LIFE_MS) {
      throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the lease ends before it begins');
    }
    const accountSeed = await options.accountKey();
    const signer = nkeyOf(accountSeed, 'A', 'accountKey');
    const { key, seed } = deriveUser(accountSeed, tag);
    accountSeed.wipe();
    try {
      await assertUsable(signer.publicKey, signal);
      // Servers let a user in until the second that `exp` names is over.
      const exp = Math.floor(expiresAt / 1000) - 1;
      const nats = {
        ...limitsOf(tag, scope),
        ...(signer.publicKey !== account && { issuer_account: account }),
        type: 'user',
      };
      const jwt = await signJwt({ name: tag, sub: key.publicKey, aud: 'NATS', exp, nats }, signer);
      signal.throwIfAborted();
      return {
        fields: {
          credentials: credentialsOf(jwt, seed),
          jwt: new Secret(jwt),
          seed: new Secret(seed),
          inboxPrefix: new Secret(inboxOf(tag)),
        },
        scope: scope === undefined ? 'no rights' : describeNatsScope(scope),
        nativeExpiresAt: (exp + 1) * 1000,
        handle: new Secret(key.publicKey),
      };
    } finally {
      seed.fill(0);
    }
  }

  function limitsOf(tag: string, scope: NatsScope | undefined): Partial<User> {
    return defaultUser({
      ...natsPermissions(scope, tag),
      bearer_token: false,
      allowed_connection_types: [...options.connectionTypes],
      ...(options.sources.length > 0 && { src: [...options.sources] }),
    });
  }

  /** What the servers would not take, or nobody could revoke, is not given out. */
  async function assertUsable(signer: string, signal: AbortSignal): Promise<void> {
    const own = nkeyOf(await options.operatorKey(), 'O', 'operatorKey');
    const claims = await readTrusted(admin, { account, operator, own: own.publicKey }, signal);
    if (takesUsersOf(claims, signer)) return;
    throw new RemitError('ERR_CREDENTIAL_ISSUE', `the account takes no users of ${signer}`, {
      hint: 'Add it to the signing keys of the account, without a role: permissions are the lease’s.',
    });
  }

  async function revoke(lease: Lease, handle: Secret | undefined, signal: AbortSignal): Promise<void> {
    assertLeaseTag(lease.tag);
    const user = handle === undefined ? await userOf(lease.tag) : handle.reveal();
    // Its JWT ends no later than the lease, whatever was recorded.
    await revoker.revoke(user, Math.ceil(lease.expiresAt / 1000), signal);
  }

  /** Where a crash lost the handle. A signing key that was changed since is another matter: its users end with it. */
  async function userOf(tag: string): Promise<string> {
    const accountSeed = await options.accountKey();
    const { key, seed } = deriveUser(accountSeed, tag);
    seed.fill(0);
    accountSeed.wipe();
    return key.publicKey;
  }

  return {
    kind: 'nats',
    downstream: `${admin.where}/${account}`,
    minTtlSeconds: 2,
    revocation: 'immediate',
    async issue(request) {
      try {
        return await orAbort(issue(request), request.signal, () => {});
      } catch (error) {
        throw issueFault(error, request.signal, {
          where: admin.where,
          what: 'no user could be signed',
          hint: 'See that a NATS server in operator mode with a full resolver answers there, and that systemCredentials, accountKey and operatorKey are of its operator.',
        });
      }
    },
    async revoke(lease, handle) {
      const signal = AbortSignal.timeout(revokeWithinMs);
      try {
        await orAbort(revoke(lease, handle, signal), signal, () => {});
      } catch (error) {
        // Servers that do not answer on this connection may do so on another.
        if (signal.aborted) admin.drop();
        const fault = signal.aborted ? `not done within ${revokeWithinMs} ms` : describeFault(error);
        throw new RemitError('ERR_CREDENTIAL_REVOKE', `user ${lease.tag} may still connect: ${fault}`, {
          where: admin.where,
          hint: 'It is tried again. See that the servers answer, and that operatorKey is a key of their operator.',
          cause: error,
        });
      }
    },
    close: () => admin.close(),
  };
}

/**
 * The text of a `.creds` file. Without the words of warning that tools put between: what a server sends back is searched for each word of a credential.
 */
function credentialsOf(jwt: string, seed: Uint8Array): Secret {
  const head = `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n`;
  const bytes = Buffer.concat([Buffer.from(head), seed, Buffer.from('\n------END USER NKEY SEED------\n')]);
  const secret = new Secret(bytes);
  bytes.fill(0);
  return secret;
}
