import { Secret } from '../../domain/secret.ts';
import type { ActionClass } from '../../domain/tool.ts';
import type { Clock } from '../../seams/clock.ts';
import type { Issuer } from '../../seams/issuer.ts';
import { assertionClaims, type SignAssertion } from './agent-assertion.ts';
import { issueFault } from './issuer-faults.ts';

export interface JwtIssuerOptions {
  /** `aud`: the connector, as it knows itself. */
  readonly audience: string;
  /** `scope` by action class; a class that is not named stands for itself. */
  readonly scopes: Readonly<Partial<Record<ActionClass, readonly string[]>>>;
  readonly sign: SignAssertion;
  readonly clock: Clock;
}

/** `typ` of a connector's token (RFC 8725 section 3.11): not `at+jwt`, so that neither kind of token passes for the other. */
export const CONNECTOR_TOKEN_TYPE = 'connector+jwt';

/**
 * A JWT that the gateway signs for one connector, which verifies it against the gateway's key set: nothing is stored anywhere, so nothing can
 * be revoked. It ends with its lease, and a short lease is its only bound (`expiry_only`, guarantee L7).
 */
export function createJwtIssuer(options: JwtIssuerOptions): Issuer {
  const { audience, scopes, sign, clock } = options;
  return {
    kind: 'jwt',
    downstream: audience,
    minTtlSeconds: 1,
    revocation: 'expiry_only',
    async issue(request) {
      try {
        request.signal.throwIfAborted();
        const scope = [...new Set(request.actionClasses.flatMap((name) => scopes[name] ?? [name]))];
        const claims = assertionClaims(request, audience, scope, clock);
        const token = await sign(claims, CONNECTOR_TOKEN_TYPE);
        request.signal.throwIfAborted();
        return {
          fields: { token: new Secret(token) },
          scope: `${scope.join(' ') || 'no scope'} at ${audience}`,
          nativeExpiresAt: claims.exp * 1000,
        };
      } catch (error) {
        throw issueFault(error, request.signal, {
          where: audience,
          what: 'no token could be signed',
          hint: 'See that the store and the vault key are there: the signing key is kept in them.',
        });
      }
    },
    // Whoever holds it may use it until it expires, whatever is said here.
    revoke: async () => {},
    close: async () => {},
  };
}
