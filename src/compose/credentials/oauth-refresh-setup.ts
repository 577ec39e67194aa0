import type { AuthorizationStore } from '../../adapters/issuers/mcp-oauth/authorization.ts';
import { configuredIdentity } from '../../adapters/issuers/mcp-oauth/configured-identity.ts';
import type { McpOauthSetup } from '../../adapters/issuers/mcp-oauth/setup.ts';
import { createGuardedFetch } from '../../adapters/upstreams/guarded-fetch.ts';
import type { ConnectorConfig } from '../../config/schema.ts';
import type { ConnectorId } from '../../domain/ids.ts';
import type { Workspace } from '../workspace.ts';
import { createAuthorizationStore } from './authorization-store.ts';
import type { ConnectorTokens } from './connector-tokens.ts';
import { createStoredTokenAuthorization } from './stored-token-authorization.ts';

type OauthRefreshCredential = NonNullable<NonNullable<ConnectorConfig['credential']>['oauthRefresh']>;

/** As for a server that wants OAuth, but that where, as whom and for what is configured, and nothing asked of the connector. */
export function oauthRefreshSetup(
  { vault, system }: Pick<Workspace, 'vault' | 'system'>,
  tokens: ConnectorTokens,
  connector: ConnectorId,
  credential: OauthRefreshCredential,
): McpOauthSetup {
  const { server, clientId, clientSecret, scopes, resources, allowPrivateNetwork } = credential;
  const { fetch, close } = createGuardedFetch({ hostname: new URL(server).hostname, allowPrivateNetwork });
  return {
    connector,
    url: server,
    named: namedServer(credential),
    renewal: renewalOf(connector, credential.refreshToken),
    server,
    clientId,
    clientSecret: clientSecret === undefined ? undefined : () => vault.get(clientSecret),
    clientKey: () => tokens.clientKey(),
    scopes: { classes: scopes, resources },
    tokenSeconds: credential.tokenSeconds,
    isIntrospected: credential.introspected,
    revokesTokens: credential.revokeTokens,
    sharedTokenUntil: undefined,
    store: refreshTokenStore({ vault, system }, connector, credential),
    fetch,
    clock: system.clock,
    schedule: system.schedule,
    random: system.random,
    close,
  };
}

/** Where its refresh token is: begun by a secret, or given in a browser. */
export function refreshTokenStore(
  { vault, system }: Pick<Workspace, 'vault' | 'system'>,
  connector: ConnectorId,
  credential: OauthRefreshCredential,
): AuthorizationStore {
  const { refreshToken, server, clientId, resource } = credential;
  if (refreshToken === undefined) return createAuthorizationStore(vault, connector);
  const identity = configuredIdentity({ clientId, named: namedServer(credential) }, '');
  return createStoredTokenAuthorization({
    vault,
    clock: system.clock,
    secret: refreshToken,
    issuer: server,
    resource,
    identity,
  });
}

const namedServer = ({ resource, clientMethod, clientSecret }: OauthRefreshCredential) => ({
  resource,
  method: clientMethod ?? (clientSecret === undefined ? ('none' as const) : ('client_secret_basic' as const)),
});

/** What an owner does for a new authorization, for people. */
export const renewalOf = (connector: ConnectorId, secret: string | undefined): string =>
  secret === undefined
    ? `Its owner authorises, in a browser: \`remit connector authorize ${connector}\`.`
    : `Its owner gets another refresh token there, and stores it: \`remit secret put ${secret}\`.`;
