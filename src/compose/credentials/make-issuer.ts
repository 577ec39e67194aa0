import { createJwtIssuer } from '../../adapters/issuers/jwt-issuer.ts';
import { createStaticIssuer } from '../../adapters/issuers/static-issuer.ts';
import { createGuardedFetch } from '../../adapters/upstreams/guarded-fetch.ts';
import type { CredentialKind } from '../../config/credential-schema.ts';
import type { ConnectorConfig } from '../../config/schema.ts';
import { RemitError } from '../../domain/errors.ts';
import type { Secret } from '../../domain/secret.ts';
import type { Issuer } from '../../seams/issuer.ts';
import type { EstateConnector } from '../estate.ts';
import type { Workspace } from '../workspace.ts';
import type { ConnectorTokens } from './connector-tokens.ts';
import { importClientKey } from './import-client-key.ts';
import { mcpOauthSetup } from './mcp-oauth-setup.ts';
import { boundException } from './shared-secrets.ts';

type Credential = NonNullable<ConnectorConfig['credential']>;

/** The issuer that a connector's credential names. Libraries that only another kind needs are not loaded. */
export async function makeIssuer(
  workspace: Workspace,
  tokens: ConnectorTokens,
  connector: EstateConnector,
  credential: Credential,
): Promise<{ kind: CredentialKind; issuer: Issuer; lapsesAt?: number }> {
  const { config, vault, system } = workspace;
  const { clock, random } = system;
  const secretOf = (name: string) => (): Promise<Secret> => vault.get(name);
  const optionalSecret = (name: string | undefined) => async (): Promise<Secret | undefined> =>
    name === undefined ? undefined : vault.get(name);

  if (credential.postgres) {
    const { adminPassword, ...address } = credential.postgres;
    const options = { ...address, adminPassword: optionalSecret(adminPassword), clock, random };
    const { createPostgresIssuer } = await import('../../adapters/issuers/postgres-issuer.ts');
    return { kind: 'postgres', issuer: createPostgresIssuer(options) };
  }
  if (credential.redis) {
    const { adminPassword, saveUsers, ...address } = credential.redis;
    const options = { ...address, adminPassword: optionalSecret(adminPassword), savesUsers: saveUsers, clock, random };
    const { createRedisIssuer } = await import('../../adapters/issuers/redis-issuer.ts');
    return { kind: 'redis', issuer: createRedisIssuer(options) };
  }
  if (credential.oauth) {
    const { clientSecret, clientKey, scopes, resources, introspected, audience, resource, ...rest } = credential.oauth;
    const { allowPrivateNetwork, ...options } = rest;
    const hostname = new URL(options.server).hostname;
    const { fetch, close } = createGuardedFetch({ hostname, allowPrivateNetwork });
    const { createOauthIssuer } = await import('../../adapters/issuers/oauth-issuer.ts');
    const issuer = createOauthIssuer({
      ...options,
      audience,
      resource,
      scopes: { classes: scopes, resources },
      isIntrospected: introspected,
      clientSecret: clientSecret === undefined ? undefined : secretOf(clientSecret),
      clientKey:
        clientKey === undefined ? () => tokens.clientKey() : async () => importClientKey(await vault.get(clientKey)),
      sign: (claims, type) => tokens.sign(claims, type),
      fetch,
      clock,
      close,
    });
    return { kind: 'oauth', issuer };
  }
  if (credential.mcpOauth) {
    const { createMcpOauthIssuer } = await import('../../adapters/issuers/mcp-oauth/mcp-oauth-issuer.ts');
    const setup = mcpOauthSetup(workspace, tokens, connector, credential.mcpOauth);
    return { kind: 'mcpOauth', issuer: createMcpOauthIssuer(setup) };
  }
  if (credential.jwt) {
    const { scopes, audience = urlOf(connector) } = credential.jwt;
    const sign: ConnectorTokens['sign'] = (claims, type) => tokens.sign(claims, type);
    return { kind: 'jwt', issuer: createJwtIssuer({ audience, scopes, sign, clock }) };
  }
  if (credential.static) {
    const { secret } = credential.static;
    const exception = boundException(config, connector.id, credential.static);
    const issuer = createStaticIssuer({
      downstream: `secret ${secret}`,
      secret: () => vault.getVersioned(secret),
      exception,
      clock,
    });
    return { kind: 'static', issuer, lapsesAt: Date.parse(exception.expires) };
  }
  throw new RemitError('ERR_CONFIG_INVALID', `connector ${connector.id} names no kind of credential`, {
    where: `connectors.${connector.id}.credential`,
  });
}

/** What a server that is reached over HTTP is known by (MCP authorization: the audience is the server's own URL). */
function urlOf({ id, config: { transport } }: EstateConnector): string {
  if ('http' in transport) return transport.http.url;
  if ('sse' in transport) return transport.sse.url;
  throw new RemitError('ERR_CONFIG_INVALID', `connector ${id}: whom is the token for?`, {
    where: `connectors.${id}.credential.jwt.audience`,
    hint: 'Name it: a stdio server has no URL.',
  });
}
