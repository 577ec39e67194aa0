import { RemitError } from '../../domain/errors.ts';
import { Secret } from '../../domain/secret.ts';
import type { Clock } from '../../seams/clock.ts';
import type { Issuer } from '../../seams/issuer.ts';

export interface StaticIssuerOptions {
  /** What it opens, for people. */
  readonly downstream: string;
  /** The long-lived secret, from where it is kept; asked at every issue. */
  readonly secret: (signal: AbortSignal) => Promise<{ readonly secret: Secret; readonly version: number }>;
  /** Who answers for it, why, and until when (RFC 3339). */
  readonly exception: { readonly owner: string; readonly reason: string; readonly expires: string };
  readonly clock: Clock;
  /** Ends what asking for it keeps open. */
  readonly close?: () => Promise<void>;
}

/**
 * Hands out a secret that nobody can revoke or bound, and says so: only under an exception that has an owner and has
 * not expired (guarantee L2). Revoking ends its use here; at the downstream it lives until someone changes it (L7).
 */
export function createStaticIssuer(options: StaticIssuerOptions): Issuer {
  const { exception, clock } = options;
  const expiresAt = Date.parse(exception.expires);
  if (Number.isNaN(expiresAt) || exception.owner.trim() === '' || exception.reason.trim() === '') {
    throw new RemitError('ERR_STATIC_WITHOUT_EXCEPTION', 'a static secret needs an exception: owner, reason, expires', {
      hint: 'Name who answers for it, why, and until when as an RFC 3339 time.',
    });
  }
  return {
    kind: 'static',
    downstream: options.downstream,
    minTtlSeconds: 0,
    revocation: 'expiry_only',
    async issue(request) {
      if (request.signal.aborted) {
        throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the issue deadline passed', { where: request.connector });
      }
      if (clock() >= expiresAt) {
        throw new RemitError(
          'ERR_STATIC_WITHOUT_EXCEPTION',
          `the exception of ${exception.owner} for the static secret ended ${exception.expires}`,
          {
            where: request.connector,
            hint: 'Replace it by an issuer of short-lived credentials, or renew the exception.',
          },
        );
      }
      const { secret, version } = await options.secret(request.signal);
      return {
        // A copy: the caller wipes what it was given.
        fields: { token: new Secret(secret.revealBytes()) },
        scope: `version ${version} of a static secret under exception of ${exception.owner} until ${exception.expires}`,
        nativeExpiresAt: undefined,
      };
    },
    // Nothing was made, so there is nothing to undo: the class says what that means.
    revoke: async () => {},
    close: async () => options.close?.(),
  };
}
