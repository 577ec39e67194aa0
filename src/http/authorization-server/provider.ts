import type { EventEmitter } from 'node:events';
import type { JWK } from 'jose';
import type { ClientMetadata, Configuration, Provider } from 'oidc-provider';
import { messageOf } from '../../domain/errors.ts';
import type { Clock, Log } from '../../seams/clock.ts';
import type { OAuthRepository } from '../../seams/store.ts';
import { type AgentClient, CLIENT_ALGORITHMS, findAssertionKey, toClientMetadata } from './agent-clients.ts';
import { customizeToken, type GrantServices, type GrantState, registerGrants } from './grants.ts';
import { authorizationServerMetadata, PATHS } from './metadata.ts';
import { createOAuthAdapter } from './oauth-adapter.ts';
import { OAuthRefusal } from './oauth-refusal.ts';
import type { SigningKeys } from './signing-keys.ts';

/** Longest life of a client assertion: bounds how long its id must be remembered. */
const MAX_ASSERTION_SECONDS = 300;
const CLIENT_SKEW_SECONDS = 15;

export interface RefusedRequest {
  /** The client that the request named; for `invalid_client` it has not proved to be that one. */
  readonly agent: string | undefined;
  readonly error: string;
  readonly description: string;
}

export interface ProviderOptions extends GrantServices {
  readonly agents: readonly AgentClient[];
  readonly store: OAuthRepository;
  readonly signingKeys: SigningKeys;
  /** Public keys of other uses, shown in the key set and never used here: a task token is not signed with one. */
  readonly otherKeys?: () => readonly JWK[];
  readonly clock: Clock;
  readonly log: Log;
  readonly onRefused?: (refused: RefusedRequest) => void;
}

/** One oidc-provider for one set of agents and one current key. Everything that agents do not need is off. */
export function createProvider(library: { Provider: typeof Provider }, options: ProviderOptions): Provider {
  const { issuer, resource, agents, log } = options;
  const signing = options.signingKeys.current();
  const state: GrantState = { kid: String(signing.kid), claims: new WeakMap(), thumbprints: new WeakMap() };
  const byId = new Map<string, AgentClient>(agents.map((agent) => [agent.id, agent]));

  const configuration: Configuration = {
    adapter: createOAuthAdapter(options.store, options.clock),
    clients: agents.map(toClientMetadata) as ClientMetadata[],
    // Retired keys stay out: nothing is signed with them, and the JWKS is answered from the live set.
    jwks: { keys: [{ ...signing, kty: String(signing.kty) }] },
    routes: { token: PATHS.token, jwks: PATHS.jwks, authorization: PATHS.authorization },
    responseTypes: [],
    scopes: [],
    clientAuthMethods: ['private_key_jwt'],
    enabledJWA: { clientAuthSigningAlgValues: [...CLIENT_ALGORITHMS] },
    clientDefaults: { id_token_signed_response_alg: 'ES256', response_types: [] },
    clockTolerance: CLIENT_SKEW_SECONDS,
    features: {
      devInteractions: { enabled: false },
      userinfo: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      dPoP: { enabled: false },
      registration: { enabled: false },
      introspection: { enabled: false },
      revocation: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        // Asked only when authorization_details came without a resource.
        defaultResource: async () => {
          throw new OAuthRefusal('invalid_target', `exactly one resource is required; allowed: ${resource}`);
        },
      },
      // The grants read `authorization_details` themselves, strictly: one place decides what is accepted.
      richAuthorizationRequests: { enabled: false },
    },
    formats: {
      customizers: {
        jwt: (_ctx, token, parts) => customizeToken(state, token, parts as { payload: Record<string, unknown> }),
      },
    },
    clientBasedCORS: () => false,
    renderError: (ctx, out) => {
      ctx.body = out;
    },
    async assertJwtClientAuthClaimsAndHeader(ctx, claims, _header, client) {
      checkAssertion(issuer, claims, options.clock());
      const agent = byId.get(client.clientId);
      const assertion = ctx.oidc.params?.client_assertion;
      const thumbprint = agent && (await findAssertionKey(agent, String(assertion)));
      if (thumbprint !== undefined) state.thumbprints.set(ctx, thumbprint);
    },
  };

  const provider = new library.Provider(issuer, configuration);
  registerGrants(provider, options, state);
  provider.silent = true;
  provider.use(async (ctx, next) => {
    if (ctx.method === 'GET' || ctx.method === 'HEAD') {
      if (ctx.path === PATHS.jwks) {
        ctx.body = { keys: [...options.signingKeys.publicJwks().keys, ...(options.otherKeys?.() ?? [])] };
        ctx.type = 'application/jwk-set+json';
        return;
      }
      if (ctx.path === PATHS.metadata || ctx.path === PATHS.openidMetadata) {
        ctx.body = authorizationServerMetadata(issuer, resource);
        return;
      }
    }
    await next();
    const body = ctx.body as { error?: string; error_description?: string } | undefined;
    // The library tells a client nothing and a person nothing either; the person has the log.
    if (body?.error === 'invalid_client' && body.error_description === 'client authentication failed') {
      body.error_description = 'client authentication failed: the log of the gateway says why';
    } else if (body?.error === 'server_error') {
      body.error_description = 'the gateway failed to answer: its log says why';
    }
  });
  provider.on('grant.error', (ctx, error) => {
    const refused = { agent: ctx.oidc.client?.clientId, error: error.error ?? error.message };
    const description = error.error_description ?? '';
    log.info({ ...refused, description, detail: error.error_detail }, 'token request refused');
    options.onRefused?.({ ...refused, description });
  });
  provider.on('server_error', (_ctx, error) => log.error({ error: messageOf(error) }, 'token request failed'));
  // Without a listener koa prints to stderr.
  (provider as EventEmitter).on('error', (error: unknown) =>
    log.warn({ error: messageOf(error) }, 'token request broken off'),
  );
  return provider;
}

/**
 * What oidc-provider leaves open. It takes the token endpoint's URL from the Host header as an audience, which the caller
 * chooses: an assertion made for another server could be replayed here under that server's name. And it remembers the
 * id of an assertion for as long as the assertion says.
 */
function checkAssertion(issuer: string, claims: Readonly<Record<string, unknown>>, now: number): void {
  const [audience, ...others] = Array.isArray(claims.aud) ? claims.aud : [claims.aud];
  if (others.length > 0 || (audience !== issuer && audience !== `${issuer}${PATHS.token}`)) {
    throw new OAuthRefusal('invalid_client', `client assertion: aud is not exactly this server; allowed: ${issuer}`);
  }
  if (typeof claims.exp !== 'number' || claims.exp > now / 1000 + MAX_ASSERTION_SECONDS + CLIENT_SKEW_SECONDS) {
    throw new OAuthRefusal(
      'invalid_client',
      `client assertion: exp is more than ${MAX_ASSERTION_SECONDS} seconds ahead`,
    );
  }
  if (typeof claims.jti !== 'string' || claims.jti.length > 256) {
    throw new OAuthRefusal('invalid_client', 'client assertion: jti is not a text of at most 256 characters');
  }
}
