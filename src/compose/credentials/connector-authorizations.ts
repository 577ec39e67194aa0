import type { Authorizer } from '../../adapters/issuers/mcp-oauth/authorizer.ts';
import type { McpOauthSetup } from '../../adapters/issuers/mcp-oauth/setup.ts';
import type { Recorder } from '../../audit/recorder.ts';
import { isRemitError, messageOf, RemitError } from '../../domain/errors.ts';
import { type ConnectorId, connectorId } from '../../domain/ids.ts';
import type { BrowserAnswer, ConnectorOauth } from '../../http/connector-oauth.ts';
import { CONNECTOR_OAUTH_PATHS } from '../../http/connector-oauth.ts';
import type { Catalogue } from '../../inventory/catalogue.ts';
import type { LeaseManager } from '../../leases/lease-manager.ts';
import type { EstateConnector } from '../estate.ts';
import { type Administration, administrator } from '../trail/record-administration.ts';
import type { Workspace } from '../workspace.ts';
import { authorizationName, readIfThere } from './authorization-store.ts';
import type { ConnectorTokens } from './connector-tokens.ts';
import { AUTHORISED_ANEW, followAuthorizations } from './follow-authorizations.ts';
import { mcpOauthSetup } from './mcp-oauth-setup.ts';
import { oauthRefreshSetup } from './oauth-refresh-setup.ts';
import { createPendingAuthorizations } from './pending-authorizations.ts';
import { storedTokenName } from './stored-token-authorization.ts';

export interface AuthorizationParts {
  readonly workspace: Workspace;
  readonly tokens: ConnectorTokens;
  /** Base URL of the gateway. */
  readonly url: string;
  readonly recorder: Pick<Recorder, 'record'>;
  readonly recordRefusal: (refusal: { readonly at: string; readonly reason: string }) => void;
  readonly leases: Pick<LeaseManager, 'revokeConnector' | 'dropConnector'>;
  readonly catalogue: Pick<Catalogue, 'refresh'>;
  /** What ends with the gateway, in reverse order. */
  readonly closers: (() => unknown)[];
}

/** What a connector's authorization comes to, for people. Times are RFC 3339. */
export interface AuthorizationView {
  readonly connector: string;
  readonly state: 'missing' | 'authorized' | 'ended' | 'shared token' | 'shared token over';
  readonly issuer?: string;
  readonly resource?: string;
  readonly client?: string;
  readonly scopes?: readonly string[];
  readonly authorizedAt?: string;
  readonly authorizedBy?: string;
  /** Of a shared token. */
  readonly until?: string;
  /** What the server found missing since. */
  readonly missing?: readonly string[];
}

export interface ConnectorAuthorizations extends ConnectorOauth {
  /** On the trail before anything is sent. @throws `ERR_NOT_FOUND`, `ERR_AUTHORIZATION_REFUSED`, `ERR_STORE_…` */
  begin(
    connector: string,
    scopes: readonly string[],
  ): Promise<{ url: string; issuer: string; scopes: readonly string[] }>;
  /** Takes it away, leases first. @returns whether the server revoked it @throws `ERR_NOT_FOUND`, `ERR_CREDENTIAL_REVOKE`, `ERR_STORE_…` */
  end(connector: string): Promise<{ revoked: boolean }>;
  list(): Promise<AuthorizationView[]>;
  noteChallenge(connector: ConnectorId, status: number, header: string): void;
}

interface Authorizable {
  readonly setup: McpOauthSetup;
  readonly authorizer: Authorizer;
  /** What its refresh token is stored as by its owner: then no browser is asked. */
  readonly secret: string | undefined;
  /** Rows that it is read from, in the vault. */
  readonly rows: readonly string[];
}

/** Of a refusal, where the store cannot be asked. */
const NOT_KNOWN = 'whether an authorization waits for this answer is not known';

/** Undefined where no connector is authorised at: its library is not loaded then. */
export async function buildConnectorAuthorizations(
  parts: AuthorizationParts,
): Promise<ConnectorAuthorizations | undefined> {
  const { workspace, tokens, url, recorder, leases, catalogue } = parts;
  const { estate, store, system } = workspace;
  const { tenant } = estate;
  const { clock, random } = system;
  const isSecure = url.startsWith('https:');
  const callback = `${url}${CONNECTOR_OAUTH_PATHS.callback}`;
  const ownDocument = isSecure ? `${url}${CONNECTOR_OAUTH_PATHS.document}` : undefined;
  const wanting = [...estate.connectors.values()].filter(
    ({ config: { credential } }) => credential?.mcpOauth !== undefined || credential?.oauthRefresh !== undefined,
  );
  if (wanting.length === 0) return undefined;
  const { createAuthorizer } = await import('../../adapters/issuers/mcp-oauth/authorizer.ts');
  const { endAuthorization } = await import('../../adapters/issuers/mcp-oauth/end-authorization.ts');
  const { describeClient } = await import('../../adapters/issuers/mcp-oauth/choose-identity.ts');

  const all = new Map<ConnectorId, Authorizable>();
  for (const connector of wanting) {
    const setup = setupOf(workspace, tokens, connector);
    if (setup === undefined) continue;
    const documentUrl = connector.config.credential?.mcpOauth?.clientMetadataUrl ?? ownDocument;
    parts.closers.push(() => setup.close());
    const secret = connector.config.credential?.oauthRefresh?.refreshToken;
    all.set(connector.id, {
      setup,
      authorizer: createAuthorizer({ ...setup, callback, documentUrl }),
      secret,
      rows: secret === undefined ? [authorizationName(connector.id)] : [secret, storedTokenName(secret)],
    });
  }
  const pendings = createPendingAuthorizations({
    tenant,
    repository: store.oauth,
    stateKey: await workspace.stateKey(),
    targets: new Map([...all].map(([id, { setup }]) => [id, targetOf(setup, callback)])),
    clock,
    random,
  });

  const followed = await followAuthorizations({
    workspace,
    places: new Map([...all].map(([id, { setup, rows }]) => [id, { store: setup.store, rows }])),
    leases,
    catalogue,
  });
  parts.closers.push(followed.stop);

  const record = (change: Administration): Promise<number> =>
    recorder.record({ type: 'administration', detail: change });

  /**
   * What was leased here meanwhile has the rights of before, and what the server has may be another. Other nodes see to theirs as they follow: of
   * what they have leased, only they know whether that was before. @returns what to tell the owner
   */
  async function takeUp(connector: ConnectorId): Promise<string> {
    await followed.note(connector);
    await leases.dropConnector(connector, AUTHORISED_ANEW);
    return await catalogue.refresh(connector).then(
      (tools) => `It has ${tools.length} tools.`,
      (error: unknown) => `It could not be listed: ${messageOf(error)}.`,
    );
  }

  function find(id: string): Authorizable {
    const found = all.get(connectorId(id));
    if (found !== undefined) return found;
    throw new RemitError('ERR_NOT_FOUND', `no connector ${id} is authorised at`, {
      where: `connectors.${id}`,
      hint: `One that is has credential.mcpOauth or credential.oauthRefresh; these have: ${[...all.keys()].join(', ')}.`,
    });
  }

  async function answer(query: URLSearchParams): Promise<BrowserAnswer> {
    const taken = await pendings.take(query.get('state')).catch((error: unknown) => {
      system.log.warn({ reason: messageOf(error) }, NOT_KNOWN);
      return 'not known' as const;
    });
    if (taken === 'not known') {
      parts.recordRefusal({ at: 'connector callback', reason: NOT_KNOWN });
      return {
        status: 503,
        text: 'Whether an authorization waits for this answer is not known: the store cannot be asked. Nothing was sent. Load this page again in a while, or begin anew with `remit connector authorize`.',
      };
    }
    if (taken === undefined) {
      parts.recordRefusal({ at: 'connector callback', reason: 'no authorization waits for this answer' });
      return {
        status: 400,
        text: 'No authorization waits for this answer. Begin anew with `remit connector authorize`.',
      };
    }
    const { connector, pending } = taken;
    const { authorizer } = find(connector);
    const common = { connector, by: pending.by };
    try {
      await record({ action: 'connector_authorization_answered', ...common, issuer: pending.metadata.issuer });
      const facts = await authorizer.complete(pending, query, async (given) => {
        await record({ action: 'connector_authorized', ...common, ...given });
        // While it is still known who Remit was when they were made.
        await leases.revokeConnector(connector, AUTHORISED_ANEW);
      });
      const scopes = facts.scopes.length > 0 ? ` with ${facts.scopes.join(' ')}` : '';
      const news = await takeUp(connector);
      return {
        status: 200,
        text: `${connector} is authorised at ${facts.issuer}${scopes}. ${news} You may close this window.`,
      };
    } catch (error) {
      await refuse(common, error);
      const hint = isRemitError(error) && error.hint !== undefined ? ` ${error.hint}` : '';
      return { status: 400, text: `${connector} is not authorised: ${messageOf(error)}.${hint}` };
    }
  }

  async function refuse(common: { connector: string; by: string }, error: unknown): Promise<void> {
    const reason = messageOf(error);
    system.log.warn({ connector: common.connector, reason }, 'a connector was not authorised');
    await record({ action: 'connector_authorization_refused', ...common, reason }).catch(() => {});
  }

  async function view(connector: ConnectorId, { authorizer, setup }: Authorizable): Promise<AuthorizationView> {
    const authorization = (await readIfThere(setup.store))?.authorization;
    if (authorization === undefined) return { connector, state: 'missing' };
    const { issuer, resource, identity, scopes, authorizedAt, authorizedBy, ended, sharedToken } = authorization;
    const missing = authorizer.missing(authorization.authorizedAt);
    const isOver = sharedToken !== undefined && sharedToken.expiresAt <= setup.clock();
    const shared = isOver ? 'shared token over' : 'shared token';
    return {
      connector,
      state: ended !== undefined ? 'ended' : sharedToken !== undefined ? shared : 'authorized',
      issuer,
      ...(resource !== undefined && { resource }),
      client: identity.id,
      scopes,
      authorizedAt: new Date(authorizedAt).toISOString(),
      authorizedBy,
      ...(sharedToken && { until: new Date(sharedToken.expiresAt).toISOString() }),
      ...(missing && { missing }),
    };
  }

  return {
    async begin(id, scopes) {
      const one = find(id);
      if (one.secret !== undefined) throw storedByOwner(id, one.setup.renewal);
      const by = administrator();
      await record({ action: 'connector_authorize', connector: id, by, ...(scopes.length > 0 && { scopes }) });
      try {
        const begun = await one.authorizer.begin(scopes, by);
        await pendings.keep(connectorId(id), begun);
        return { url: begun.url, issuer: begun.metadata.issuer, scopes: begun.scopes };
      } catch (error) {
        await refuse({ connector: id, by }, error);
        throw error;
      }
    },
    async end(id) {
      const one = find(id);
      const { setup } = one;
      await record({ action: 'connector_deauthorize', connector: id, by: administrator() });
      // An owner who is on the way back from a browser, to whichever node, would undo it.
      await pendings.forget(connectorId(id));
      const ended = await endAuthorization(setup, () => leases.revokeConnector(connectorId(id), 'authorization ended'));
      if (ended !== undefined) return ended;
      throw new RemitError('ERR_NOT_FOUND', `nobody has authorised Remit at ${id}`, { where: `connectors.${id}` });
    },
    answer,
    document: () =>
      ownDocument === undefined ? undefined : { client_id: ownDocument, ...describeClient(callback, 'none') },
    list: () => Promise.all([...all].map(([id, one]) => view(id, one))),
    noteChallenge: (connector, status, header) => all.get(connector)?.authorizer.noteChallenge(status, header),
  };
}

function setupOf(workspace: Workspace, tokens: ConnectorTokens, connector: EstateConnector): McpOauthSetup | undefined {
  const { mcpOauth, oauthRefresh } = connector.config.credential ?? {};
  if (mcpOauth !== undefined) return mcpOauthSetup(workspace, tokens, connector, mcpOauth);
  return oauthRefresh && oauthRefreshSetup(workspace, tokens, connector.id, oauthRefresh);
}

/** What the configuration says of where Remit is authorised, and as whom. */
function targetOf({ url, named, server, clientId }: McpOauthSetup, callback: string): readonly unknown[] {
  return [url, named ?? null, server ?? null, clientId ?? null, callback];
}

function storedByOwner(connector: string, hint: string): RemitError {
  return new RemitError('ERR_AUTHORIZATION_REFUSED', 'its refresh token is a secret that its owner stores', {
    where: `connectors.${connector}.credential.oauthRefresh.refreshToken`,
    hint: `${hint} Or take refreshToken out of the configuration.`,
  });
}
