import { ResponseBodyError, type TokenEndpointResponse, tokenRevocation } from 'openid-client';
import { RemitError } from '../../domain/errors.ts';
import type { RevocationClass } from '../../domain/lease.ts';
import type { Secret } from '../../domain/secret.ts';
import { describeFault, orAbort } from './issuer-faults.ts';
import type { OauthClient } from './oauth-client.ts';
import { summary } from './oauth-summary.ts';

/** What revoking does at an authorization server that was configured (RFC 7009). */
export interface OauthRevoker {
  /** Only what was read of the server counts: until then nothing is claimed. A stream that its holder has open is not cut. */
  revocation(): RevocationClass;
  /** What is refused must not live on. Best effort: nobody has it but this process, and it ends by itself. */
  giveBack(answer: TokenEndpointResponse): Promise<void>;
  /** @param handle the token; nothing is asked without one. @throws `ERR_CREDENTIAL_REVOKE` */
  revoke(handle: Secret | undefined): Promise<void>;
}

export interface OauthRevokerOptions {
  readonly server: string;
  /** Whether the connector asks the server about a token at each use, as it must of an opaque one: otherwise revoking does not reach it. */
  readonly isIntrospected: boolean;
  /** Longest one revoke may take, milliseconds. */
  readonly revokeWithinMs?: number;
}

const REVOKE_WITHIN_MS = 10_000;

export function createOauthRevoker(client: OauthClient, options: OauthRevokerOptions): OauthRevoker {
  const { server, isIntrospected, revokeWithinMs = REVOKE_WITHIN_MS } = options;

  async function revoke(handle: Secret, signal: AbortSignal): Promise<void> {
    const configuration = await client.configure(signal);
    if (configuration.serverMetadata().revocation_endpoint === undefined) return;
    try {
      // RFC 7009 section 2.2: a token that is not known, or not valid any more, is answered like one that was revoked.
      await tokenRevocation(configuration, handle.reveal(), { token_type_hint: 'access_token' });
    } catch (error) {
      // Section 2.2.1: it revokes no tokens of this kind. The class claims nothing else where they are not introspected.
      const isUnsupported = error instanceof ResponseBodyError && error.error === 'unsupported_token_type';
      if (!isUnsupported || isIntrospected) throw error;
    }
  }

  return {
    revocation() {
      const canRevoke = client.metadata()?.revocation_endpoint !== undefined;
      return canRevoke && isIntrospected ? 'next_use' : 'expiry_only';
    },
    async giveBack(answer) {
      if (client.metadata()?.revocation_endpoint === undefined) return;
      // Not within the request's signal: it may be what has ended.
      const configuration = await client.configure(AbortSignal.timeout(revokeWithinMs));
      for (const token of [answer.refresh_token, answer.access_token]) {
        if (token !== undefined) await tokenRevocation(configuration, token).catch(() => {});
      }
    },
    async revoke(handle) {
      if (handle === undefined) return;
      const signal = AbortSignal.timeout(revokeWithinMs);
      try {
        await orAbort(revoke(handle, signal), signal, () => {});
      } catch (error) {
        const fault = signal.aborted ? `not done within ${revokeWithinMs} ms` : describeFault(summary(error));
        throw new RemitError('ERR_CREDENTIAL_REVOKE', `the token may still be good: ${fault}`, {
          where: server,
          hint: 'It is tried again. See that the server answers, and that it revokes tokens of this client.',
        });
      }
    },
  };
}
