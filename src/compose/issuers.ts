import { createPostgresIssuer } from '../adapters/issuers/postgres-issuer.ts';
import { createRedisIssuer } from '../adapters/issuers/redis-issuer.ts';
import { createStaticIssuer } from '../adapters/issuers/static-issuer.ts';
import { RemitError } from '../domain/errors.ts';
import type { ConnectorId } from '../domain/ids.ts';
import type { IssuerBinding } from '../leases/lease-context.ts';
import { assertModeIsCarried, type CredentialCarrier } from '../leases/lease-modes.ts';
import { DEFAULT_TEMPLATES } from '../leases/render-injection.ts';
import type { EstateConnector } from './estate.ts';
import type { Workspace } from './workspace.ts';

/** One issuer for each connector that needs a credential. */
export function buildIssuers(workspace: Workspace): ReadonlyMap<ConnectorId, IssuerBinding> {
  const bindings = new Map<ConnectorId, IssuerBinding>();
  for (const connector of workspace.estate.connectors.values()) {
    const binding = bindIssuer(workspace, connector);
    const mode = connector.config.credential?.mode;
    if (binding === undefined || mode === undefined) continue;
    assertModeIsCarried(connector.id, carrierOf(connector), mode);
    bindings.set(connector.id, { ...binding, mode });
  }
  return bindings;
}

function carrierOf({ config: { transport } }: EstateConnector): CredentialCarrier {
  if ('stdio' in transport) return 'stdio';
  return 'sse' in transport ? 'sse' : 'http';
}

function bindIssuer({ vault, system }: Workspace, connector: EstateConnector): IssuerBinding | undefined {
  const { credential, transport } = connector.config;
  if (credential === undefined) return undefined;
  const { inject, ttlSeconds } = credential;
  const isStdio = 'stdio' in transport;
  const hasOwnInjection = Object.keys(inject.environment).length + Object.keys(inject.headers).length > 0;
  if (isStdio ? Object.keys(inject.headers).length > 0 : Object.keys(inject.environment).length > 0) {
    throw new RemitError(
      'ERR_CONFIG_INVALID',
      `connector ${connector.id}: a ${isStdio ? 'stdio' : 'http'} server takes its credential in ${isStdio ? 'environment variables' : 'headers'}`,
      {
        where: `connectors.${connector.id}.credential.inject`,
        hint: `Use inject.${isStdio ? 'environment' : 'headers'}.`,
      },
    );
  }
  if (credential.postgres) {
    const { host, port, database, adminUser, adminPassword, tls } = credential.postgres;
    const issuer = createPostgresIssuer({
      host,
      port,
      database,
      adminUser,
      adminPassword: async () => (adminPassword === undefined ? undefined : vault.get(adminPassword)),
      tls,
      clock: system.clock,
      random: system.random,
    });
    return { issuer, mode: 'task', ttlSeconds, templates: hasOwnInjection ? inject : DEFAULT_TEMPLATES.postgres };
  }
  if (credential.redis) {
    const { host, port, database, adminUser, adminPassword, tls, saveUsers } = credential.redis;
    const issuer = createRedisIssuer({
      host,
      port,
      database,
      adminUser,
      adminPassword: async () => (adminPassword === undefined ? undefined : vault.get(adminPassword)),
      tls,
      savesUsers: saveUsers,
      clock: system.clock,
      random: system.random,
    });
    return { issuer, mode: 'task', ttlSeconds, templates: hasOwnInjection ? inject : DEFAULT_TEMPLATES.redis };
  }
  if (credential.static) {
    const { secret, exception } = credential.static;
    const issuer = createStaticIssuer({
      downstream: `secret ${secret}`,
      secret: () => vault.get(secret),
      exception,
      clock: system.clock,
    });
    if (isStdio && !hasOwnInjection) {
      throw new RemitError(
        'ERR_CONFIG_INVALID',
        `connector ${connector.id}: which environment variable takes the secret?`,
        {
          where: `connectors.${connector.id}.credential.inject`,
          hint: 'Name it, for example inject: { environment: { API_TOKEN: "{token}" } }.',
        },
      );
    }
    return {
      issuer,
      mode: 'task',
      ttlSeconds,
      templates: hasOwnInjection ? inject : DEFAULT_TEMPLATES.static,
      lapsesAt: Date.parse(exception.expires),
    };
  }
  return undefined;
}
