/**
 * FAKE: stands for an MCP server that wants OAuth, and for its authorization server, on two loopback ports. The protocol is real enough to be
 * used wrongly: metadata, registration, authorization code with PKCE, rotated refresh tokens of which each works once, revocation. Nobody signs
 * in: whoever opens the address has said yes. Behind the 401 are the tools that a test names, made with the official SDK. What it does wrongly, a
 * test says. Never a part of the product.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';

type Json = Record<string, unknown>;

/** What it does otherwise than by the book. */
export interface OauthMisdeeds {
  /** Members put over those of the documents; undefined takes one out. */
  resource?: Json;
  metadata?: Json;
  /** Over the query of the redirect; undefined takes one out. */
  redirect?: Record<string, string | undefined>;
  /** Over the token endpoint's answer. */
  token?: Json;
  /** Status and body of the token endpoint instead of an answer; `drop`: none at all, after the refresh token was used up; `drop_once`: of one request. */
  refuseToken?: { status: number; body: Json } | 'drop' | 'drop_once';
  /** The token endpoint answers only then; what it was asked is done before. */
  holdToken?: Promise<unknown>;
  /** How long the token endpoint takes, milliseconds. */
  slowMs?: number;
  /** A rotated refresh token is taken again, as vendors with a grace (leeway) do. */
  hasGrace?: boolean;
  challenge?: string;
  refuseRegistration?: boolean;
  refuseRevocation?: boolean;
}

export interface FakeOauthServer {
  readonly issuer: string;
  /** Of the MCP server. */
  readonly url: string;
  /** `METHOD path`, in order. */
  readonly asked: string[];
  /** Parameters of token requests, in order; `authorization` is the header. */
  readonly tokenRequests: (Record<string, string> & { authorization?: string })[];
  readonly registrations: Json[];
  readonly misdeeds: OauthMisdeeds;
  /** Tokens that calls came with, in order. */
  readonly calls: { readonly tool: string; readonly token: string }[];
  /** A refresh token as a vendor’s console hands one out, for the client `by-hand`. */
  mintRefreshToken(scope: string): string;
  /** Opens an address as a browser does, up to the callback: what the gateway would be asked. */
  open(address: string): Promise<URLSearchParams>;
  admits(token: string): boolean;
  /** Scopes of a token that is live. */
  scopesOf(token: string): string[] | undefined;
  liveTokens(): number;
  /** Refresh tokens that would still be taken. */
  liveRefreshTokens(): number;
  close(): Promise<void>;
}

const TOKEN_SECONDS = 60;

export async function startFakeOauthServer(
  options: {
    refresh?: boolean;
    revoke?: boolean;
    /** Scope that each tool wants. */
    tools?: Readonly<Record<string, string>>;
  } = {},
): Promise<FakeOauthServer> {
  const { refresh = true, revoke = true, tools = {} } = options;
  const calls: { tool: string; token: string }[] = [];
  const asked: string[] = [];
  const tokenRequests: FakeOauthServer['tokenRequests'] = [];
  const registrations: Json[] = [];
  const misdeeds: OauthMisdeeds = {};
  const codes = new Map<string, { challenge: string; scope: string; resource: string; client: string }>();
  const refreshTokens = new Map<string, { scope: string }>();
  const tokens = new Map<string, { scope: string; until: number }>();
  const secrets = new Map<string, string>([['by-hand', 'canary-by-hand-secret-5512']]);
  const newText = (what: string): string => `${what}-${randomBytes(12).toString('hex')}`;

  const authority = createServer((request, response) => void answer(request, response));
  const resource = createServer((request, response) => void admit(request, response));
  const issuer = await listen(authority);
  const origin = await listen(resource);
  const url = `${origin}/mcp`;

  const serve = toNodeHandler(
    createMcpHandler(() => {
      const mcp = new McpServer({ name: 'notes', version: '1.0.0' });
      for (const name of Object.keys(tools)) {
        mcp.registerTool(name, { description: `Does ${name}.` }, () => ({
          content: [{ type: 'text', text: `${name}: done` }],
        }));
      }
      return mcp;
    }),
  );

  async function admit(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    const body = await bodyOf(request);
    asked.push(`${request.method} ${request.url}`);
    if (request.url === '/.well-known/oauth-protected-resource/mcp') {
      const document = {
        resource: url,
        authorization_servers: [issuer],
        scopes_supported: ['notes.read', 'notes.write'],
      };
      return json(response, 200, { ...document, ...misdeeds.resource });
    }
    if (request.url !== '/mcp') return json(response, 404, {});
    const metadata = `${origin}/.well-known/oauth-protected-resource/mcp`;
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    const held = live(token)?.scope.split(' ');
    if (held !== undefined) {
      const message = body === '' ? undefined : (JSON.parse(body) as { method?: string; params?: { name?: string } });
      const tool = message?.method === 'tools/call' ? message.params?.name : undefined;
      if (tool !== undefined && !held.includes(tools[tool] ?? '')) {
        response.setHeader('WWW-Authenticate', `Bearer error="insufficient_scope", scope="${tools[tool]}"`);
        return json(response, 403, { error: 'insufficient_scope' });
      }
      if (tool !== undefined) calls.push({ tool, token });
      return serve(request as never, response, message);
    }
    response.setHeader('WWW-Authenticate', misdeeds.challenge ?? `Bearer resource_metadata="${metadata}"`);
    return json(response, 401, { error: 'invalid_token' });
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    const { pathname, searchParams } = new URL(request.url ?? '/', issuer);
    const body = await bodyOf(request);
    asked.push(`${request.method} ${pathname}`);
    switch (pathname) {
      case '/.well-known/oauth-authorization-server':
        return json(response, 200, {
          issuer,
          authorization_endpoint: `${issuer}/authorize`,
          token_endpoint: `${issuer}/token`,
          registration_endpoint: `${issuer}/register`,
          ...(revoke && { revocation_endpoint: `${issuer}/revoke` }),
          response_types_supported: ['code'],
          code_challenge_methods_supported: ['S256'],
          token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'none'],
          authorization_response_iss_parameter_supported: true,
          ...misdeeds.metadata,
        });
      case '/register':
        return register(response, JSON.parse(body) as Json);
      case '/authorize':
        return authorize(response, searchParams);
      case '/token':
        return token(response, request, new URLSearchParams(body));
      case '/revoke': {
        if (misdeeds.refuseRevocation === true) return json(response, 503, { error: 'temporarily_unavailable' });
        const one = new URLSearchParams(body).get('token') ?? '';
        tokens.delete(one);
        refreshTokens.delete(one);
        return json(response, 200, {});
      }
      default:
        return json(response, 404, {});
    }
  }

  function register(response: ServerResponse, asking: Json): unknown {
    if (misdeeds.refuseRegistration === true) return json(response, 403, { error: 'access_denied' });
    registrations.push(asking);
    const [id, secret] = [newText('client'), newText('canary-client-secret')];
    secrets.set(id, secret);
    return json(response, 201, { ...asking, client_id: id, client_secret: secret });
  }

  function authorize(response: ServerResponse, query: URLSearchParams): void {
    const code = newText('canary-code');
    codes.set(code, {
      challenge: query.get('code_challenge') ?? '',
      scope: query.get('scope') ?? '',
      resource: query.get('resource') ?? '',
      client: query.get('client_id') ?? '',
    });
    const back = new URL(query.get('redirect_uri') ?? '');
    const answers = { code, state: query.get('state') ?? '', iss: issuer, ...misdeeds.redirect };
    for (const [name, value] of Object.entries(answers)) if (value !== undefined) back.searchParams.set(name, value);
    response.writeHead(302, { Location: back.href }).end();
  }

  function token(response: ServerResponse, request: IncomingMessage, asking: URLSearchParams): unknown {
    const { authorization } = request.headers;
    tokenRequests.push({ ...Object.fromEntries(asking), ...(authorization !== undefined && { authorization }) });
    const { refuseToken } = misdeeds;
    if (typeof refuseToken === 'object') return json(response, refuseToken.status, refuseToken.body);
    if (!isClient(authorization, asking)) return json(response, 401, { error: 'invalid_client' });
    const granted = asking.get('grant_type') === 'refresh_token' ? ofRefresh(asking) : ofCode(asking);
    if (granted === undefined) return json(response, 400, { error: 'invalid_grant' });
    const made = newText('canary-access');
    const scope = asking.get('scope') ?? granted;
    tokens.set(made, { scope, until: Date.now() + TOKEN_SECONDS * 1000 });
    const next = refresh ? newText('canary-refresh') : undefined;
    if (next !== undefined) refreshTokens.set(next, { scope: granted });
    if (refuseToken === 'drop_once') delete misdeeds.refuseToken;
    if (refuseToken !== undefined) return request.socket.destroy();
    if (misdeeds.holdToken !== undefined) {
      return void misdeeds.holdToken.then(() => give(response, made, scope, next));
    }
    if (misdeeds.slowMs !== undefined) return void setTimeout(() => give(response, made, scope, next), misdeeds.slowMs);
    return give(response, made, scope, next);
  }

  function give(response: ServerResponse, made: string, scope: string, next: string | undefined): unknown {
    return json(response, 200, {
      access_token: made,
      token_type: 'Bearer',
      expires_in: TOKEN_SECONDS,
      scope,
      ...(next !== undefined && { refresh_token: next }),
      ...misdeeds.token,
    });
  }

  function ofRefresh(asking: URLSearchParams): string | undefined {
    const used = asking.get('refresh_token') ?? '';
    const found = refreshTokens.get(used);
    if (misdeeds.hasGrace !== true) refreshTokens.delete(used);
    return found?.scope;
  }

  function ofCode(asking: URLSearchParams): string | undefined {
    const used = asking.get('code') ?? '';
    const found = codes.get(used);
    codes.delete(used);
    const proof = createHash('sha256')
      .update(asking.get('code_verifier') ?? '')
      .digest('base64url');
    return found?.challenge === proof && found.resource === (asking.get('resource') ?? '') ? found.scope : undefined;
  }

  function isClient(header: string | undefined, asking: URLSearchParams): boolean {
    const [id, secret] =
      header === undefined
        ? [asking.get('client_id'), asking.get('client_secret')]
        : Buffer.from(header.replace('Basic ', ''), 'base64').toString().split(':').map(decodeURIComponent);
    const known = secrets.get(id ?? '');
    return known === undefined ? id?.startsWith('https://') === true : known === secret;
  }

  const live = (one: string) => {
    const found = tokens.get(one);
    return found !== undefined && found.until > Date.now() ? found : undefined;
  };

  return {
    issuer,
    url,
    asked,
    tokenRequests,
    registrations,
    misdeeds,
    calls,
    mintRefreshToken(scope) {
      const minted = newText('canary-refresh');
      refreshTokens.set(minted, { scope });
      return minted;
    },
    async open(address) {
      const response = await fetch(address, { redirect: 'manual' });
      return new URL(response.headers.get('location') ?? '').searchParams;
    },
    admits: (one) => live(one) !== undefined,
    scopesOf: (one) => live(one)?.scope.split(' '),
    liveTokens: () => [...tokens.keys()].filter((one) => live(one) !== undefined).length,
    liveRefreshTokens: () => refreshTokens.size,
    close: async () => {
      await Promise.all([authority, resource].map(stop));
    },
  };
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}

function json(response: ServerResponse, status: number, body: Json): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
}
