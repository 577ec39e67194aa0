import type { OauthIdentity } from '../../adapters/issuers/mcp-oauth/authorization.ts';
import { Secret } from '../../domain/secret.ts';

/** Who Remit is at an authorization server, within what is sealed as one. */
export type SealedIdentity = Omit<OauthIdentity, 'secret'> & { readonly secret?: string };

export function sealIdentity({ secret, ...known }: OauthIdentity): SealedIdentity {
  return { ...known, ...(secret && { secret: secret.reveal() }) };
}

export function openIdentity({ secret, secretExpiresAt, ...known }: SealedIdentity): OauthIdentity {
  return { ...known, secretExpiresAt, secret: secret === undefined ? undefined : new Secret(secret) };
}
