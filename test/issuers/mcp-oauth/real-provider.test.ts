import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair } from 'jose';
import type { Adapter, AdapterPayload, Provider } from 'oidc-provider';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAuthorizer } from '../../../src/adapters/issuers/mcp-oauth/authorizer.ts';
import { createMcpOauthIssuer } from '../../../src/adapters/issuers/mcp-oauth/mcp-oauth-issuer.ts';
import type { AuthorizerSetup } from '../../../src/adapters/issuers/mcp-oauth/setup.ts';
import { loadOidcLibrary } from '../../../src/http/authorization-server/oidc-library.ts';
import { newLease, requestFor } from '../../suites/issuer-suite.ts';
import { CALLBACK, memoryStore, type OauthWorld, startOauthWorld } from './oauth-world.ts';

/** What the fake server does is ours; this is somebody else's: a real oidc-provider with registration, rotation and detection of reuse. */
describe('a real authorization server', () => {
  let authority: Server;
  let resource: Server;
  let issuer: string;
  let url: string;
  let world: OauthWorld;
  const rows = new Map<string, AdapterPayload>();
  const store = memoryStore();

  beforeAll(async () => {
    let handle: RequestListener = (_request, response) => void response.writeHead(503).end();
    authority = createServer((request, response) => handle(request, response));
    issuer = await listen(authority);
    resource = createServer((request, response) => {
      request.resume();
      const isMetadata = request.url === '/.well-known/oauth-protected-resource/mcp';
      const document = {
        resource: url,
        authorization_servers: [issuer],
        scopes_supported: ['notes.read', 'notes.write'],
      };
      response.writeHead(isMetadata ? 200 : 401, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify(isMetadata ? document : {}));
    });
    url = `${await listen(resource)}/mcp`;
    const provider = await createProvider();
    const serve = provider.callback() as unknown as RequestListener;
    handle = (request, response) => {
      if (request.url?.startsWith('/login/')) void login(provider, request, response);
      else serve(request, response);
    };
    world = await startOauthWorld();
  });
  afterAll(async () => {
    await world.close();
    for (const server of [authority, resource]) {
      server.close();
      server.closeAllConnections();
    }
  });

  async function createProvider(): Promise<Provider> {
    const { library } = await loadOidcLibrary();
    const jwk = await exportJWK((await generateKeyPair('ES256', { extractable: true })).privateKey);
    const scope = 'notes.read notes.write';
    const provider: Provider = new library.Provider(issuer, {
      adapter: (model) => memoryAdapter(rows, model),
      jwks: { keys: [{ ...jwk, kty: 'EC', alg: 'ES256', use: 'sig' }] },
      cookies: { keys: [randomBytes(32).toString('hex')] },
      scopes: ['openid', 'offline_access'],
      clientDefaults: { id_token_signed_response_alg: 'ES256' },
      interactions: { url: (_ctx, interaction) => `/login/${interaction.uid}` },
      findAccount: async (_ctx, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
      async loadExistingGrant(ctx) {
        const grant = new provider.Grant({
          accountId: String(ctx.oidc.session?.accountId),
          clientId: String(ctx.oidc.client?.clientId),
        });
        grant.addOIDCScope('openid offline_access');
        grant.addResourceScope(url, scope);
        await grant.save();
        return grant;
      },
      issueRefreshToken: async () => true,
      rotateRefreshToken: true,
      clientBasedCORS: () => false,
      renderError: (ctx, out) => {
        ctx.body = out;
      },
      ttl: { AccessToken: 60, AuthorizationCode: 60, Grant: 600, Interaction: 60, RefreshToken: 600, Session: 600 },
      features: {
        devInteractions: { enabled: false },
        rpInitiatedLogout: { enabled: false },
        registration: { enabled: true },
        revocation: { enabled: true, allowedPolicy: async () => true },
        resourceIndicators: {
          enabled: true,
          defaultResource: async () => url,
          getResourceServerInfo: async () => ({
            scope,
            audience: url,
            accessTokenFormat: 'opaque',
            accessTokenTTL: 60,
          }),
          useGrantedResource: async () => true,
        },
      },
    });
    return provider;
  }

  const setup = (changes: Partial<AuthorizerSetup> = {}) => world.setup({ url, store, ...changes });

  async function authorize(): Promise<readonly string[]> {
    const authorizer = createAuthorizer(setup());
    const pending = await authorizer.begin([], 'dana');
    return (await authorizer.complete(pending, await signIn(pending.url), async () => {})).scopes;
  }

  const ask = (of: ReturnType<typeof createMcpOauthIssuer>) => {
    const lease = newLease(of);
    const request = { ...requestFor(lease, AbortSignal.timeout(10_000)), actionClasses: ['read' as const] };
    return of.issue(request).then((credential) => ({ lease, ...credential }));
  };
  const accessTokens = () => [...rows.values()].filter(({ kind }) => kind === 'AccessToken');

  it('registers Remit, gives what its owner says yes to, and refreshes, narrows and revokes it', async () => {
    expect(await authorize()).toEqual(expect.arrayContaining(['notes.read', 'notes.write']));
    expect(store.row?.authorization).toMatchObject({ issuer, resource: url, identity: { source: 'registered' } });
    const scopes = { classes: { read: ['notes.read'] }, resources: undefined };
    const issuerOf = createMcpOauthIssuer(setup({ scopes }));
    const first = store.row?.authorization.refreshToken?.reveal();
    const { lease, handle, fields, scope } = await ask(issuerOf);
    expect(scope).toBe(`notes.read at ${url}`);
    expect(store.row?.authorization.refreshToken?.reveal()).not.toBe(first);
    const token = fields.token?.reveal() ?? '';
    const isKept = () => accessTokens().some(({ jti }) => token.startsWith(String(jti)) || token === jti);
    expect(isKept()).toBe(true);
    await issuerOf.revoke(lease, handle);
    expect(isKept()).toBe(false);
    // This server takes it for revoking all (RFC 7009 section 2.1 lets it): whoever answers for the connector is told so.
    const over = { hint: expect.stringContaining('revokeTokens: false') };
    await expect(ask(issuerOf)).rejects.toMatchObject(over);
    await expect(ask(issuerOf)).rejects.toMatchObject(over);
  });

  it('refreshes and narrows for a client that is configured, with nothing asked of the connector, in two gateways at once', async () => {
    await authorize();
    const row = store.row;
    if (row === undefined) return expect.unreachable();
    const { identity } = row.authorization;
    const own = memoryStore();
    own.row = { ...row, authorization: { ...row.authorization, identity: { ...identity, source: 'configured' } } };
    const scopes = { classes: { read: ['notes.read'], write: ['notes.read', 'notes.write'] }, resources: undefined };
    const named = { resource: url, method: identity.method };
    const clientSecret = async () => identity.secret ?? expect.unreachable();
    const make = () =>
      createMcpOauthIssuer(
        setup({ url: issuer, named, clientId: identity.id, clientSecret, scopes, store: own, revokesTokens: false }),
      );
    const [one, other] = [make(), make()];
    const issued = await Promise.all([one, other, one, other].map((of) => ask(of)));
    expect(new Set(issued.map(({ fields }) => fields.token?.reveal())).size).toBe(4);
    expect(issued.map(({ scope }) => scope)).toEqual(Array.from({ length: 4 }, () => `notes.read at ${url}`));
    const held = accessTokens().filter(({ jti }) => issued.some(({ fields }) => fields.token?.reveal() === jti));
    expect(held.map(({ scope }) => scope)).toEqual(Array.from({ length: 4 }, () => 'notes.read'));
    expect(one.kind).toBe('oauth_refresh');
  });

  it('L7 where revoking one token would take all, none is revoked, and no lease claims it', async () => {
    await authorize();
    const careful = createMcpOauthIssuer(setup({ revokesTokens: false }));
    const { lease, handle } = await ask(careful);
    expect(careful.revocation).toBe('expiry_only');
    const before = accessTokens().length;
    await careful.revoke(lease, handle);
    expect(accessTokens().length).toBe(before);
    await expect(ask(careful)).resolves.toBeDefined();
  });

  it('L4 sees no refresh token twice, however many leases there are at once in two gateways', async () => {
    await authorize();
    const [one, other] = [createMcpOauthIssuer(setup()), createMcpOauthIssuer(setup())];
    // It ends everything that came of an authorization whose refresh token it sees twice.
    await Promise.all(Array.from({ length: 6 }, (_, index) => ask(index % 2 === 0 ? one : other)));
    expect(store.row?.authorization.ended).toBeUndefined();
    await expect(ask(one)).resolves.toBeDefined();
  });

  it('ends an authorization whose refresh token somebody else has used, and its owner is asked', async () => {
    await authorize();
    const stolen = store.row;
    const one = createMcpOauthIssuer(setup());
    await ask(one);
    // A vault that was restored from yesterday.
    store.row = stolen;
    await expect(ask(one)).rejects.toMatchObject({ hint: expect.stringContaining('Its owner authorises anew') });
    expect(store.row?.authorization.ended).toMatchObject({ reason: 'invalid_grant' });
  });
});

/** The login page: whoever comes is Dana, who says yes. */
async function login(provider: Provider, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const result = { login: { accountId: 'dana' }, consent: {} };
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  } catch {
    response.writeHead(400).end('no such sign-in');
  }
}

/** A browser with a cookie jar, up to the callback. */
async function signIn(address: string): Promise<URLSearchParams> {
  const cookies = new Map<string, string>();
  let next = new URL(address);
  for (let hops = 0; !next.href.startsWith(CALLBACK); hops++) {
    if (hops === 10) throw new Error('the sign-in does not come to an end');
    const headers = { Cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
    const response = await fetch(next, { redirect: 'manual', headers });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      if (value === '') cookies.delete(name);
      else cookies.set(name, value);
    }
    const location = response.headers.get('location');
    if (location === null) throw new Error(`no way on from ${next.pathname}: ${await response.text()}`);
    next = new URL(location, next);
  }
  return next.searchParams;
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function memoryAdapter(rows: Map<string, AdapterPayload>, model: string): Adapter {
  const key = (id: string): string => `${model}:${id}`;
  const byGrant = (grant: string): void => {
    for (const [id, row] of rows) if (row.grantId === grant && id.startsWith(`${model}:`)) rows.delete(id);
  };
  return {
    upsert: async (id, payload) => void rows.set(key(id), payload),
    find: async (id) => rows.get(key(id)),
    findByUid: async (uid) => [...rows].find(([id, row]) => id.startsWith(`${model}:`) && row.uid === uid)?.[1],
    findByUserCode: async () => undefined,
    consume: async (id) => {
      const row = rows.get(key(id));
      if (row !== undefined) row.consumed = Math.floor(Date.now() / 1000);
    },
    destroy: async (id) => void rows.delete(key(id)),
    revokeByGrantId: async (grant) => byGrant(grant),
  };
}
