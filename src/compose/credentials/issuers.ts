import type { ConnectorId } from '../../domain/ids.ts';
import type { IssuerBinding } from '../../leases/lease-context.ts';
import { assertModeIsCarried, type CredentialCarrier } from '../../leases/lease-modes.ts';
import type { EstateConnector } from '../estate.ts';
import type { Workspace } from '../workspace.ts';
import { chooseInjection } from './choose-injection.ts';
import type { ConnectorTokens } from './connector-tokens.ts';
import { makeIssuer } from './make-issuer.ts';

/** One issuer for each connector that needs a credential. */
export async function buildIssuers(
  workspace: Workspace,
  tokens: ConnectorTokens,
): Promise<ReadonlyMap<ConnectorId, IssuerBinding>> {
  const bindings = new Map<ConnectorId, IssuerBinding>();
  for (const connector of workspace.estate.connectors.values()) {
    const { credential } = connector.config;
    if (credential !== undefined) assertModeIsCarried(connector.id, carrierOf(connector), credential.mode);
    const binding = await bindIssuer(workspace, tokens, connector);
    if (binding !== undefined) bindings.set(connector.id, binding);
  }
  return bindings;
}

function carrierOf({ config: { transport } }: EstateConnector): CredentialCarrier {
  if ('stdio' in transport) return 'stdio';
  return 'sse' in transport ? 'sse' : 'http';
}

async function bindIssuer(
  workspace: Workspace,
  tokens: ConnectorTokens,
  connector: EstateConnector,
): Promise<IssuerBinding | undefined> {
  const { credential } = connector.config;
  if (credential === undefined) return undefined;
  const { kind, ...made } = await makeIssuer(workspace, tokens, connector, credential);
  const templates = chooseInjection(connector.id, carrierOf(connector), kind, credential.inject);
  return { ...made, mode: credential.mode, ttlSeconds: credential.ttlSeconds, templates };
}
