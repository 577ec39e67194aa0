/**
 * FAKE: stands for the company's identity provider in tests and in the demo. It is a real `oidc-provider` on a loopback
 * port, and `signInAs` runs the real authorization code flow with PKCE over HTTP; only the login page is not: it signs
 * in whoever `login_hint` names, without any proof. Never a part of the product.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair } from 'jose';
import type { Adapter, AdapterPayload, Provider } from 'oidc-provider';
import { loadOidcLibrary } from '../../src/http/authorization-server/oidc-library.ts';

export interface FakeUser {
  readonly sub: string;
  readonly email: string;
  readonly groups: readonly string[];
  /** Puts `may_act` (RFC 8693 section 4.4) into the user's tokens. */
  readonly mayAct?: string;
}

export interface FakeCompanyIdp {
  readonly issuer: string;
  readonly jwksUri: string;
  /** Signs a user in and returns their JWT access token for the configured audience. */
  signInAs(sub: string): Promise<string>;
  close(): Promise<void>;
}

const CLIENT_ID = 'workstation';
/** The resource indicator (RFC 8707) under which the fake knows Remit; its tokens carry `audience`. */
const RESOURCE = 'urn:example:remit';

/** Starts the fake on 127.0.0.1. @param options `audience` is the `aud` that Remit is configured to expect */
export async function startFakeCompanyIdp(options: {
  users: readonly FakeUser[];
  audience: string;
  port?: number;
}): Promise<FakeCompanyIdp> {
  const users = new Map(options.users.map((user) => [user.sub, user]));
  let handle: RequestListener = (_request, response) => void response.writeHead(503).end();
  const server = createServer((request, response) => handle(request, response));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const redirectUri = `${issuer}/signed-in`;
  const provider = await createProvider({ issuer, redirectUri, users, audience: options.audience });
  const callback = provider.callback() as unknown as RequestListener;
  handle = (request, response) => {
    if (request.url?.startsWith('/login/')) void login(provider, request, response);
    else callback(request, response);
  };

  return {
    issuer,
    jwksUri: `${issuer}/jwks`,
    async signInAs(sub) {
      if (!users.has(sub)) throw new Error(`the fake identity provider has no user '${sub}'`);
      return signIn({ issuer, redirectUri, sub });
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function createProvider(setup: {
  issuer: string;
  redirectUri: string;
  users: ReadonlyMap<string, FakeUser>;
  audience: string;
}): Promise<Provider> {
  const { library } = await loadOidcLibrary();
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const jwk = await exportJWK(privateKey);
  const rows = new Map<string, AdapterPayload>();
  const provider = new library.Provider(setup.issuer, {
    adapter: (model) => memoryAdapter(rows, model),
    jwks: { keys: [{ ...jwk, kty: 'EC', alg: 'ES256', use: 'sig' }] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    clients: [
      {
        client_id: CLIENT_ID,
        application_type: 'native',
        token_endpoint_auth_method: 'none',
        // A native client's loopback address stands for any port (RFC 8252 section 7.3).
        redirect_uris: [setup.redirectUri, 'http://127.0.0.1/approvals/oidc/callback'],
        response_types: ['code'],
        grant_types: ['authorization_code'],
      },
    ],
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    interactions: { url: (_ctx, interaction) => `/login/${interaction.uid}` },
    findAccount: async (_ctx, sub) => {
      const user = setup.users.get(sub);
      return user && { accountId: sub, claims: async () => ({ sub, email: user.email, groups: [...user.groups] }) };
    },
    // As companies' providers do: groups stand in the ID token.
    claims: { openid: ['sub', 'groups'] },
    conformIdTokenClaims: false,
    // The company's own client: consent is not asked for.
    async loadExistingGrant(ctx) {
      const grant = new provider.Grant({
        accountId: String(ctx.oidc.session?.accountId),
        clientId: String(ctx.oidc.client?.clientId),
      });
      grant.addOIDCScope('openid');
      await grant.save();
      return grant;
    },
    extraTokenClaims: async (_ctx, token) => {
      const user = 'accountId' in token ? setup.users.get(token.accountId) : undefined;
      return (
        user && { email: user.email, groups: [...user.groups], ...(user.mayAct && { may_act: { sub: user.mayAct } }) }
      );
    },
    ttl: { AccessToken: 3600, AuthorizationCode: 60, Grant: 3600, IdToken: 3600, Interaction: 60, Session: 3600 },
    clientBasedCORS: () => false,
    renderError: (ctx, out) => {
      ctx.body = out;
    },
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: async () => RESOURCE,
        getResourceServerInfo: async (_ctx, indicator) => {
          if (indicator !== RESOURCE) throw new library.errors.InvalidTarget();
          return { scope: '', audience: setup.audience, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
        },
        useGrantedResource: async () => true,
      },
    },
  });
  return provider;
}

/** The login page of the fake: nobody sees it, and it believes `login_hint`. */
async function login(provider: Provider, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const { params } = await provider.interactionDetails(request, response);
    const result = { login: { accountId: String(params.login_hint) }, consent: {} };
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  } catch {
    response.writeHead(400).end('no such sign-in');
  }
}

/** A browser's part of the flow: follows redirects with a cookie jar up to the redirect URI, then redeems the code. */
async function signIn(flow: { issuer: string; redirectUri: string; sub: string }): Promise<string> {
  const verifier = randomBytes(32).toString('base64url');
  const state = randomBytes(16).toString('base64url');
  const query = new URLSearchParams({
    client_id: CLIENT_ID,
    response_type: 'code',
    redirect_uri: flow.redirectUri,
    scope: 'openid',
    resource: RESOURCE,
    state,
    login_hint: flow.sub,
    code_challenge_method: 'S256',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
  });
  const cookies = new Map<string, string>();
  let next = new URL(`${flow.issuer}/auth?${query}`);
  for (let hops = 0; !next.href.startsWith(flow.redirectUri); hops += 1) {
    if (hops === 10) throw new Error('the sign-in does not come to an end');
    const response = await fetch(next, {
      redirect: 'manual',
      headers: { Cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      if (value === '') cookies.delete(name);
      else cookies.set(name, value);
    }
    const location = response.headers.get('Location');
    const text = await response.text();
    if (location === null) throw new Error(`the sign-in stopped at ${next.pathname}: ${response.status} ${text}`);
    next = new URL(location, next);
  }
  const code = next.searchParams.get('code');
  if (code === null || next.searchParams.get('state') !== state) {
    throw new Error(`the sign-in failed: ${next.searchParams.get('error_description') ?? 'no code'}`);
  }
  const response = await fetch(`${flow.issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      client_id: CLIENT_ID,
      code,
      redirect_uri: flow.redirectUri,
      code_verifier: verifier,
      resource: RESOURCE,
    }),
  });
  const answer = (await response.json()) as { access_token?: string; error_description?: string };
  if (answer.access_token === undefined) throw new Error(`the code was not redeemed: ${answer.error_description}`);
  return answer.access_token;
}

function memoryAdapter(rows: Map<string, AdapterPayload>, model: string): Adapter {
  const key = (id: string): string => `${model}:${id}`;
  const findBy = async (name: 'uid' | 'userCode', value: string): Promise<AdapterPayload | undefined> =>
    [...rows].find(([id, row]) => id.startsWith(`${model}:`) && row[name] === value)?.[1];
  return {
    upsert: async (id, payload) => void rows.set(key(id), payload),
    find: async (id) => rows.get(key(id)),
    findByUid: (uid) => findBy('uid', uid),
    findByUserCode: (code) => findBy('userCode', code),
    consume: async (id) => {
      const row = rows.get(key(id));
      if (row !== undefined) row.consumed = Math.floor(Date.now() / 1000);
    },
    destroy: async (id) => void rows.delete(key(id)),
    revokeByGrantId: async (grantId) => {
      for (const [id, row] of rows) if (id.startsWith(`${model}:`) && row.grantId === grantId) rows.delete(id);
    },
  };
}
