/**
 * FAKE: stands for the authorization server of a SaaS vendor or of another department. It is a real `oidc-provider` on a loopback port with the
 * token exchange grant (RFC 8693) registered, introspection and revocation; only what it grants is made up: any assertion that the given keys
 * verify is exchanged for an opaque token, as asked for, or wrongly where a test says so. Never a part of the product.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { Adapter, AdapterPayload, Provider } from 'oidc-provider';
import { loadOidcLibrary } from '../../src/http/authorization-server/oidc-library.ts';

export interface FakeForeignAsOptions {
  readonly clientSecret: string;
  /** Keys of whoever may vouch for agents. */
  readonly assertionKeys: JWTVerifyGetKey;
  /** `iss` of assertions. */
  readonly gateway: string;
  /** Key set of a client `keyed` that authenticates by `private_key_jwt`. */
  readonly clientKeys?: readonly JWK[];
  /** Where that client's key set is, instead: read when it is needed. */
  readonly clientKeysUri?: string;
  /** Default true. */
  readonly canRevoke?: boolean;
  readonly scopes: readonly string[];
}

/** What it does wrongly. */
export type Misdeed = 'other_scope' | 'longer_life' | 'refresh_token' | 'no_end';

export interface FakeForeignAs {
  readonly issuer: string;
  readonly clientId: 'remit';
  /** Claims of what was exchanged, in order. */
  readonly exchanged: readonly { readonly claims: JWTPayload; readonly asked: Readonly<Record<string, unknown>> }[];
  misdeed: Misdeed | undefined;
  /** Asks as the resource server does. */
  introspect(token: string): Promise<{ active: boolean; scope?: string; aud?: string; exp?: number; sub?: string }>;
  /** Whether it gave that token once: what a resource server that verifies signatures goes by. */
  gave(token: string): boolean;
  /** Tokens that it would still take. */
  liveTokens(): number;
  close(): Promise<void>;
}

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const RESOURCE = 'https://crm.example.com/mcp';
const LONG_SECONDS = 7_200;

export async function startFakeForeignAs(options: FakeForeignAsOptions): Promise<FakeForeignAs> {
  let handle: RequestListener = (_request, response) => void response.writeHead(503).end();
  const server = createServer((request, response) => handle(request, response));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const rows = new Map<string, AdapterPayload>();
  const exchanged: { claims: JWTPayload; asked: Record<string, unknown> }[] = [];
  const state: { misdeed: Misdeed | undefined } = { misdeed: undefined };
  const given = new Set<string>();
  const introspector = randomBytes(16).toString('hex');
  const provider = await createProvider();
  handle = provider.callback() as unknown as RequestListener;

  async function createProvider(): Promise<Provider> {
    const { library } = await loadOidcLibrary();
    const scope = options.scopes.join(' ');
    const signingKey = await exportJWK((await generateKeyPair('ES256', { extractable: true })).privateKey);
    const grants = [TOKEN_EXCHANGE, 'client_credentials'];
    const client = { redirect_uris: [], response_types: [], grant_types: grants, scope };
    const resourceServer = {
      scope,
      audience: RESOURCE,
      accessTokenFormat: 'opaque' as const,
      accessTokenTTL: 120,
    };
    const { clientKeys, clientKeysUri } = options;
    const keySet =
      clientKeysUri !== undefined ? { jwks_uri: clientKeysUri } : clientKeys && { jwks: { keys: clientKeys as never } };
    const made = new library.Provider(issuer, {
      adapter: (model) => memoryAdapter(rows, model),
      scopes: [...options.scopes],
      cookies: { keys: [randomBytes(32).toString('hex')] },
      jwks: { keys: [{ ...signingKey, kty: 'EC', alg: 'ES256', use: 'sig' }] },
      clientDefaults: { id_token_signed_response_alg: 'ES256' },
      responseTypes: [],
      clients: [
        { ...client, client_id: 'remit', client_secret: options.clientSecret },
        ...(keySet === undefined
          ? []
          : [
              {
                ...client,
                client_id: 'keyed',
                token_endpoint_auth_method: 'private_key_jwt' as const,
                token_endpoint_auth_signing_alg: 'ES256' as const,
                ...keySet,
              },
            ]),
        { client_id: 'crm', client_secret: introspector, redirect_uris: [], response_types: [], grant_types: [] },
      ],
      renderError: (ctx, out) => {
        ctx.body = out;
      },
      clientBasedCORS: () => false,
      // It reads no key set from loopback by itself, and here all is on loopback.
      fetch: (url, { dispatcher: _, ...init }: RequestInit & { dispatcher?: unknown } = {}) => fetch(url, init),
      features: {
        devInteractions: { enabled: false },
        rpInitiatedLogout: { enabled: false },
        introspection: { enabled: true, allowedPolicy: async () => true },
        revocation: { enabled: options.canRevoke ?? true, allowedPolicy: async () => true },
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: async () => RESOURCE,
          getResourceServerInfo: async (_ctx, indicator) => {
            if (indicator !== RESOURCE) throw new library.errors.InvalidTarget();
            return resourceServer;
          },
          useGrantedResource: async () => true,
        },
      },
      ttl: { ClientCredentials: 120 },
    });
    const parameters = ['subject_token', 'subject_token_type', 'requested_token_type', 'audience', 'resource', 'scope'];
    made.registerGrantType(
      TOKEN_EXCHANGE,
      async (ctx) => {
        const asked = ctx.oidc.params as Record<string, string | undefined>;
        const claims = await verifyAssertion(asked.subject_token ?? '').catch(() => {
          throw new library.errors.InvalidGrant('the subject token is not valid');
        });
        if (asked.resource !== undefined && asked.resource !== RESOURCE) throw new library.errors.InvalidTarget();
        const wanted = (asked.scope ?? '').split(' ').filter((one) => one !== '');
        const unknown = wanted.find((one) => !options.scopes.includes(one));
        if (unknown !== undefined) throw new library.errors.InvalidScope('requested scope is not known', unknown);
        exchanged.push({ claims, asked });
        const { misdeed } = state;
        const granted = misdeed === 'other_scope' ? [...options.scopes] : wanted;
        const left = Number(claims.exp) - Math.floor(Date.now() / 1000);
        const token = new made.ClientCredentials({
          client: ctx.oidc.client as never,
          resourceServer: new made.ResourceServer(RESOURCE, resourceServer),
          scope: granted.join(' '),
          expiresIn: misdeed === 'longer_life' ? LONG_SECONDS : left,
          extra: { act: claims.sub },
        } as never);
        const value = await token.save();
        given.add(value);
        ctx.body = {
          access_token: value,
          issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
          token_type: 'Bearer',
          ...(misdeed !== 'no_end' && { expires_in: misdeed === 'longer_life' ? LONG_SECONDS : left }),
          ...(misdeed === 'other_scope' && { scope: granted.join(' ') }),
          ...(misdeed === 'refresh_token' && { refresh_token: randomBytes(32).toString('hex') }),
        };
      },
      parameters,
    );
    return made;
  }

  async function verifyAssertion(token: string): Promise<JWTPayload> {
    const rules = { algorithms: ['ES256'], issuer: options.gateway, audience: issuer, typ: 'JWT' };
    return (await jwtVerify(token, options.assertionKeys, rules)).payload;
  }

  return {
    issuer,
    clientId: 'remit',
    exchanged,
    get misdeed() {
      return state.misdeed;
    },
    set misdeed(value) {
      state.misdeed = value;
    },
    async introspect(token) {
      const response = await fetch(`${issuer}/token/introspection`, {
        method: 'POST',
        headers: { Authorization: `Basic ${Buffer.from(`crm:${introspector}`).toString('base64')}` },
        body: new URLSearchParams({ token }),
      });
      return (await response.json()) as { active: boolean };
    },
    gave: (token) => given.has(token),
    liveTokens: () => [...rows.keys()].filter((key) => key.startsWith('ClientCredentials:')).length,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Rows of an oidc-provider in memory. */
export function memoryAdapter(rows: Map<string, AdapterPayload>, model: string): Adapter {
  const key = (id: string): string => `${model}:${id}`;
  return {
    upsert: async (id, payload) => void rows.set(key(id), payload),
    find: async (id) => rows.get(key(id)),
    findByUid: async () => undefined,
    findByUserCode: async () => undefined,
    consume: async () => {},
    destroy: async (id) => void rows.delete(key(id)),
    revokeByGrantId: async () => {},
  };
}
