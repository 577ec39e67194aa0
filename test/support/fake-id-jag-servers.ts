/**
 * FAKE: stands for a company's identity provider and for the authorization server of a vendor that trusts it, after
 * draft-ietf-oauth-identity-assertion-authz-grant-04. Both are real `oidc-provider`s on loopback ports: the first with token exchange (RFC 8693)
 * registered, the second with the JWT bearer grant (RFC 7523), introspection and revocation. What they grant is made up: a table of who may
 * have which scopes. What they do wrongly, a test says. Never a part of the product.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type CryptoKey,
  createRemoteJWKSet,
  exportJWK,
  generateKeyPair,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
  SignJWT,
} from 'jose';
import type { AdapterPayload, KoaContextWithOIDC, Provider } from 'oidc-provider';
import { loadOidcLibrary } from '../../src/http/authorization-server/oidc-library.ts';
import { memoryAdapter } from './fake-foreign-as.ts';

/** What one of them does wrongly. `lost`: the token is made, and its answer never arrives. */
export type IdJagMisdeed =
  | {
      readonly at: 'idp';
      readonly claims?: JWTPayload;
      readonly typ?: string;
      readonly answer?: Record<string, unknown>;
    }
  | { readonly at: 'server'; readonly answer?: Record<string, unknown>; readonly lost?: true };

export interface FakeIdJagServers {
  readonly idp: string;
  readonly server: string;
  /** Of Remit at the second. */
  readonly clientId: 'remit-at-crm';
  /** Claims of subject tokens and of grants, in order. */
  readonly subjects: JWTPayload[];
  readonly grants: JWTPayload[];
  misdeed: IdJagMisdeed | undefined;
  introspect(token: string): Promise<{ active: boolean; scope?: string; sub?: string; exp?: number }>;
  liveTokens(): number;
  closeIdp(): Promise<void>;
  close(): Promise<void>;
}

export interface FakeIdJagOptions {
  readonly clientSecret: string;
  /** Whose assertions about users the identity provider believes. */
  readonly assertionKeys: JWTVerifyGetKey;
  readonly gateway: string;
  /** Scopes by user at the vendor's; whoever is not named may have nothing. */
  readonly users: Readonly<Record<string, readonly string[]>>;
  readonly resource: string;
  readonly canRevoke?: boolean;
}

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag';
const CLIENT_ID = 'remit-at-crm';
const PROFILE = 'urn:ietf:params:oauth:grant-profile:id-jag';
const TOKEN_SECONDS = 45;

interface ProviderParts {
  readonly clients: readonly object[];
  readonly features?: object;
  readonly scopes?: string[];
  readonly discovery?: Record<string, unknown>;
}

type Params = Readonly<Record<string, string | undefined>>;

export async function startFakeIdJagServers(options: FakeIdJagOptions): Promise<FakeIdJagServers> {
  const { library } = await loadOidcLibrary();
  const state: { misdeed: IdJagMisdeed | undefined } = { misdeed: undefined };
  const subjects: JWTPayload[] = [];
  const grants: JWTPayload[] = [];
  const rows = new Map<string, AdapterPayload>();
  const introspector = randomBytes(16).toString('hex');
  const scopes = [...new Set(Object.values(options.users).flat())];
  const idp = await listen();
  const vendor = await listen();

  const idpKey = await generateKeyPair('ES256', { extractable: true });
  const idpProvider = await createProvider(idp.issuer, idpKey.privateKey, {
    clients: [{ client_id: 'remit', client_secret: options.clientSecret, grant_types: [TOKEN_EXCHANGE] }],
  });
  idpProvider.registerGrantType(TOKEN_EXCHANGE, (ctx) => exchange(ctx), [
    'subject_token',
    'subject_token_type',
    'requested_token_type',
    'audience',
    'resource',
    'scope',
  ]);
  idp.serve(idpProvider);

  const vendorKey = await generateKeyPair('ES256', { extractable: true });
  const resourceServer = {
    scope: scopes.join(' '),
    audience: options.resource,
    accessTokenFormat: 'opaque' as const,
    accessTokenTTL: TOKEN_SECONDS,
  };
  const vendorProvider = await createProvider(vendor.issuer, vendorKey.privateKey, {
    scopes,
    clients: [
      { client_id: CLIENT_ID, client_secret: options.clientSecret, grant_types: [JWT_BEARER] },
      { client_id: 'crm', client_secret: introspector, grant_types: [] },
    ],
    features: {
      introspection: { enabled: true, allowedPolicy: async () => true },
      revocation: { enabled: options.canRevoke ?? true, allowedPolicy: async () => true },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: async () => options.resource,
        getResourceServerInfo: async () => resourceServer,
        useGrantedResource: async () => true,
      },
    },
    discovery: { authorization_grant_profiles_supported: [PROFILE] },
  });
  vendorProvider.registerGrantType(JWT_BEARER, (ctx) => redeem(ctx), ['assertion', 'scope']);
  vendor.serve(vendorProvider);
  const idpKeys = createRemoteJWKSet(new URL(`${idp.issuer}/jwks`), { cooldownDuration: 0 });
  const used = new Set<string>();

  async function createProvider(issuer: string, key: CryptoKey, more: ProviderParts): Promise<Provider> {
    const bare = { redirect_uris: [], response_types: [] };
    const { features = {}, clients, ...rest } = more;
    return new library.Provider(issuer, {
      adapter: (model: string) => memoryAdapter(rows, `${issuer} ${model}`),
      cookies: { keys: [randomBytes(32).toString('hex')] },
      jwks: { keys: [{ ...(await exportJWK(key)), alg: 'ES256', use: 'sig' } as never] },
      clientDefaults: { id_token_signed_response_alg: 'ES256' },
      responseTypes: [],
      renderError: (ctx, out) => {
        ctx.body = out;
      },
      clientBasedCORS: () => false,
      ...rest,
      clients: clients.map((client) => ({ ...bare, ...client })) as never,
      features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: false }, ...features },
    });
  }

  /** An assertion of the gateway's about a user becomes a grant for the vendor's server, as the table allows. */
  async function exchange(ctx: KoaContextWithOIDC): Promise<void> {
    const asked = ctx.oidc.params as Params;
    const rules = { algorithms: ['ES256'], issuer: options.gateway, audience: idp.issuer, typ: 'JWT' };
    const verified = await jwtVerify(asked.subject_token ?? '', options.assertionKeys, rules).catch(() => {
      throw new library.errors.InvalidGrant('the subject token is not valid');
    });
    const { payload } = verified;
    if (asked.requested_token_type !== ID_JAG || asked.audience !== vendor.issuer)
      throw new library.errors.InvalidTarget();
    subjects.push(payload);
    const allowed = options.users[String(payload.sub)] ?? [];
    const wanted = wordsOf(asked.scope);
    const granted = wanted.filter((scope) => allowed.includes(scope));
    if (wanted.length > 0 && granted.length === 0) throw new library.errors.AccessDenied('the user may not');
    const misdeed = state.misdeed?.at === 'idp' ? state.misdeed : undefined;
    const claims = {
      iss: idp.issuer,
      aud: vendor.issuer,
      sub: payload.sub,
      client_id: CLIENT_ID,
      jti: randomBytes(12).toString('hex'),
      iat: Math.floor(Date.now() / 1000),
      exp: Math.floor(Date.now() / 1000) + 60,
      scope: granted.join(' '),
      ...(asked.resource !== undefined && { resource: asked.resource }),
      ...(payload.act !== undefined && { act: payload.act }),
      ...misdeed?.claims,
    };
    const assertion = await new SignJWT(claims as JWTPayload)
      .setProtectedHeader({ alg: 'ES256', typ: misdeed?.typ ?? 'oauth-id-jag+jwt' })
      .sign(idpKey.privateKey);
    ctx.body = {
      issued_token_type: ID_JAG,
      access_token: assertion,
      token_type: 'N_A',
      scope: granted.join(' '),
      expires_in: 60,
      ...misdeed?.answer,
    };
  }

  /** A grant becomes an opaque token, once. */
  async function redeem(ctx: KoaContextWithOIDC): Promise<void> {
    const asked = ctx.oidc.params as Params;
    const rules = { algorithms: ['ES256'], issuer: idp.issuer, audience: vendor.issuer, typ: 'oauth-id-jag+jwt' };
    const { payload } = await jwtVerify(asked.assertion ?? '', idpKeys, rules).catch(() => {
      throw new library.errors.InvalidGrant('the assertion is not valid');
    });
    if (payload.client_id !== ctx.oidc.client?.clientId) throw new library.errors.InvalidGrant('not this client’s');
    if (payload.jti === undefined || used.has(payload.jti)) throw new library.errors.InvalidGrant('used before');
    used.add(payload.jti);
    grants.push(payload);
    const token = new vendorProvider.ClientCredentials({
      client: ctx.oidc.client as never,
      resourceServer: new vendorProvider.ResourceServer(options.resource, resourceServer),
      scope: String(payload.scope ?? ''),
      expiresIn: TOKEN_SECONDS,
      extra: { sub: payload.sub, act: payload.act },
    } as never);
    const value = await token.save();
    const misdeed = state.misdeed?.at === 'server' ? state.misdeed : undefined;
    if (misdeed?.lost) {
      ctx.req.socket.destroy();
      return;
    }
    ctx.body = {
      access_token: value,
      token_type: 'Bearer',
      expires_in: TOKEN_SECONDS,
      scope: String(payload.scope ?? ''),
      ...misdeed?.answer,
    };
  }

  return {
    idp: idp.issuer,
    server: vendor.issuer,
    clientId: CLIENT_ID,
    subjects,
    grants,
    get misdeed() {
      return state.misdeed;
    },
    set misdeed(value) {
      state.misdeed = value;
    },
    async introspect(token) {
      const response = await fetch(`${vendor.issuer}/token/introspection`, {
        method: 'POST',
        headers: { Authorization: `Basic ${Buffer.from(`crm:${introspector}`).toString('base64')}` },
        body: new URLSearchParams({ token }),
      });
      return (await response.json()) as { active: boolean };
    },
    liveTokens: () => [...rows.keys()].filter((key) => key.includes('ClientCredentials:')).length,
    closeIdp: () => idp.close(),
    close: async () => {
      await Promise.all([idp.close(), vendor.close()]);
    },
  };
}

const wordsOf = (text: string | undefined): string[] => (text ?? '').split(' ').filter((word) => word !== '');

async function listen() {
  let handle: RequestListener = (_request, response) => void response.writeHead(503).end();
  const server: Server = createServer((request, response) => handle(request, response));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    issuer: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    serve(provider: Provider) {
      handle = provider.callback() as unknown as RequestListener;
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
