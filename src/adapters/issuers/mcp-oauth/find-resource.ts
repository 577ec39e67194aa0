import type { Fetch } from '../oauth-client.ts';
import { type BearerChallenge, SCOPE } from './challenge.ts';
import { fetchMetadata } from './fetch-metadata.ts';
import { assertSafe, refused, VISIBLE } from './refused.ts';

/** A connector's server as a protected resource (RFC 9728 section 2). */
export interface ProtectedResource {
  /** Exactly as it was published: what is sent as `resource` (RFC 8707). */
  readonly resource: string;
  /** Issuers of tokens for it, in its order. */
  readonly issuers: readonly string[];
  readonly scopes: readonly string[] | undefined;
}

/**
 * The metadata of a connector's server: where its challenge says, else at the well-known place for its path, else at the one of its host
 * (MCP authorization, protected resource metadata discovery).
 * @throws `ERR_AUTHORIZATION_REFUSED` where there are none, or they are of another resource
 */
export async function findResource(
  connectorUrl: string,
  challenge: BearerChallenge | undefined,
  fetch: Fetch,
): Promise<ProtectedResource> {
  for (const place of placesOf(connectorUrl, challenge)) {
    const document = await fetchMetadata(
      fetch,
      assertSafe(place, connectorUrl, 'where its metadata are said to be').href,
    );
    if (document === undefined) continue;
    const { resource, authorization_servers: servers, scopes_supported: scopes } = document;
    if (typeof resource !== 'string' || !covers(resource, connectorUrl)) {
      throw refused(
        'its metadata are those of another resource',
        place,
        'A token for that one would be of no use here, or be used elsewhere: tell who runs the server (RFC 9728 section 3.3).',
      );
    }
    const issuers = Array.isArray(servers) ? servers.filter((one) => typeof one === 'string') : [];
    if (issuers.length === 0) {
      throw refused('its metadata name no authorization server', place, 'Tell who runs the server.');
    }
    const known = Array.isArray(scopes)
      ? scopes.filter((one) => typeof one === 'string' && SCOPE.test(one))
      : undefined;
    return { resource, issuers, scopes: known as string[] | undefined };
  }
  throw refused(
    'it publishes no metadata of a protected resource',
    connectorUrl,
    'Only servers of MCP 2025-06-18 and later can be authorised at (RFC 9728). Use another kind of credential for it.',
  );
}

function placesOf(connectorUrl: string, challenge: BearerChallenge | undefined): string[] {
  if (challenge?.resourceMetadata !== undefined) return [challenge.resourceMetadata];
  const { origin, pathname, search } = new URL(connectorUrl);
  const wellKnown = `${origin}/.well-known/oauth-protected-resource`;
  const ofPath = pathname === '/' ? [] : [`${wellKnown}${pathname}${search}`];
  return [...ofPath, wellKnown];
}

/** Whether tokens for `resource` are meant for the connector's URL: the same origin, and its path or one above it. */
export function covers(resource: string, connectorUrl: string): boolean {
  if (!VISIBLE.test(resource) || !URL.canParse(resource)) return false;
  const own = new URL(connectorUrl);
  const { origin, pathname, search, hash } = new URL(resource);
  if (origin !== own.origin || hash !== '' || (search !== '' && search !== own.search)) return false;
  const above = pathname.endsWith('/') ? pathname : `${pathname}/`;
  return `${own.pathname}/`.startsWith(above);
}
