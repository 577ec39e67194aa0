import type { McpOauthSetup } from '../../adapters/issuers/mcp-oauth/setup.ts';
import { createGuardedFetch } from '../../adapters/upstreams/guarded-fetch.ts';
import type { ConnectorConfig } from '../../config/schema.ts';
import { RemitError } from '../../domain/errors.ts';
import type { EstateConnector } from '../estate.ts';
import type { Workspace } from '../workspace.ts';
import { createAuthorizationStore } from './authorization-store.ts';
import type { ConnectorTokens } from './connector-tokens.ts';
import { renewalOf } from './oauth-refresh-setup.ts';

type McpOauthCredential = NonNullable<NonNullable<ConnectorConfig['credential']>['mcpOauth']>;

/** @throws `ERR_CONFIG_INVALID` for a stdio server */
export function mcpOauthSetup(
  { vault, system }: Workspace,
  tokens: ConnectorTokens,
  { id, config: { transport } }: EstateConnector,
  credential: McpOauthCredential,
): McpOauthSetup {
  const { clientSecret, scopes, resources, introspected, sharedToken, revokeTokens, server, clientId, tokenSeconds } =
    credential;
  if ('stdio' in transport) {
    throw new RemitError('ERR_CONFIG_INVALID', `connector ${id}: a stdio server is not authorised at`, {
      where: `connectors.${id}.credential.mcpOauth`,
      hint: 'MCP authorization is for servers over HTTP. Use another kind of credential.',
    });
  }
  const { url, allowPrivateNetwork } = 'http' in transport ? transport.http : transport.sse;
  const { fetch, close } = createGuardedFetch({ hostname: new URL(url).hostname, allowPrivateNetwork });
  return {
    connector: id,
    url,
    named: undefined,
    renewal: renewalOf(id, undefined),
    server,
    clientId,
    clientSecret: clientSecret === undefined ? undefined : () => vault.get(clientSecret),
    clientKey: () => tokens.clientKey(),
    scopes: scopes && { classes: scopes, resources },
    tokenSeconds,
    isIntrospected: introspected,
    revokesTokens: revokeTokens,
    sharedTokenUntil: sharedToken && Date.parse(sharedToken.expires),
    store: createAuthorizationStore(vault, id),
    fetch,
    clock: system.clock,
    schedule: system.schedule,
    random: system.random,
    close,
  };
}
