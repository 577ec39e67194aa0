import type { ServerMetadata } from 'openid-client';
import type { Fetch } from '../oauth-client.ts';
import { fetchMetadata } from './fetch-metadata.ts';
import { assertSafe, refused } from './refused.ts';

/** Places where an issuer's metadata may be, in order: RFC 8414 section 3, then OpenID Connect Discovery, inserted and appended (MCP authorization). */
export function serverPlaces(issuer: string): string[] {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, '');
  const oidc = '/.well-known/openid-configuration';
  const places = [`${origin}/.well-known/oauth-authorization-server${path}`, `${origin}${oidc}${path}`];
  return path === '' ? places : [...places, `${origin}${path}${oidc}`];
}

/**
 * Metadata of an authorization server, whose `issuer` is the very text that was asked for (RFC 8414 section 3.3).
 * @param trustedUrl whose loopback counts: the connector's, or the server's own where the configuration names it
 * @throws `ERR_AUTHORIZATION_REFUSED`
 */
export async function findServer(issuer: string, trustedUrl: string, fetch: Fetch): Promise<ServerMetadata> {
  assertSafe(issuer, trustedUrl, 'its authorization server');
  for (const place of serverPlaces(issuer)) {
    const document = await fetchMetadata(fetch, place);
    if (document === undefined) continue;
    if (document.issuer !== issuer) {
      throw refused(
        'the metadata of its authorization server name another issuer',
        place,
        'They may be somebody else’s: nothing was sent to the places that they name. Tell who runs the server.',
      );
    }
    for (const name of ENDPOINTS) {
      if (document[name] !== undefined)
        assertSafe(document[name], trustedUrl, `the ${name} of its authorization server`);
    }
    if (document.token_endpoint === undefined)
      throw refused('its authorization server has no token endpoint', place, HINT);
    return document as unknown as ServerMetadata;
  }
  throw refused('its authorization server publishes no metadata', issuer, HINT);
}

/** What a person's browser and the gateway are sent to. */
const ENDPOINTS = ['authorization_endpoint', 'token_endpoint', 'registration_endpoint', 'revocation_endpoint'] as const;
const HINT = 'Remit needs metadata by RFC 8414 or OpenID Connect Discovery.';

/** What an authorization in a browser takes of a server. @throws `ERR_AUTHORIZATION_REFUSED` */
export function assertAuthorizes(metadata: ServerMetadata): void {
  const { issuer, authorization_endpoint: endpoint, code_challenge_methods_supported: methods } = metadata;
  if (endpoint === undefined) throw refused('its authorization server has no authorization endpoint', issuer, HINT);
  // MCP authorization: without a word about PKCE a client must not go on.
  if (!methods?.includes('S256')) {
    throw refused(
      'its authorization server does not say that it takes PKCE with S256',
      issuer,
      'Without it a code can be used by who intercepts it. Tell who runs that server.',
    );
  }
}
