import type { Configuration } from 'openid-client';
import type { Secret } from '../../domain/secret.ts';
import type { CarriedValues, SignIn } from '../../seams/sign-in.ts';

export interface OidcSignInOptions {
  readonly issuer: string;
  readonly clientId: string;
  /** Undefined: a public client. */
  readonly clientSecret: Secret | undefined;
  readonly scopes: readonly string[];
  readonly groupsClaim: string;
  /** To whatever addresses the provider names of itself. */
  readonly fetch: (address: string, init: RequestInit) => Promise<Response>;
  /** Where the provider sends the browser back to. */
  readonly redirectUri: () => string;
  readonly carried: CarriedValues;
}

/** What is sealed into the cookie; a type, so that it is JSON. */
type Begun = {
  readonly verifier: string;
  readonly state: string;
  readonly nonce: string;
  readonly next: string;
};

const PATIENCE_MS = 600_000;
const MOST_GROUPS = 1_000;

/**
 * OpenID Connect, authorization code flow with PKCE, state and nonce (RFC 9700 section 2.1.1). The browser carries what was begun in a sealed cookie, so that it
 * may come back to another node: an answer is good in the browser that began, once, for ten minutes. Nothing is kept of who begins and is nobody.
 */
export function createOidcSignIn(options: OidcSignInOptions): SignIn {
  const { issuer, clientId, clientSecret, scopes, groupsClaim, redirectUri, carried } = options;
  let known: Promise<Configuration> | undefined;

  /** Found when it is first needed, and again after a failure: a provider that is down does not keep the gateway from starting. */
  async function provider() {
    const client = await import('openid-client');
    known ??= client
      .discovery(
        new URL(issuer),
        clientId,
        undefined,
        clientSecret === undefined ? client.None() : client.ClientSecretPost(clientSecret.reveal()),
        // Only where the configuration itself says http: a provider on loopback, as in tests.
        {
          execute: issuer.startsWith('http:') ? [client.allowInsecureRequests] : [],
          [client.customFetch]: (address: string, init) => options.fetch(address, init as RequestInit),
        },
      )
      .catch((error: unknown) => {
        known = undefined;
        throw error;
      });
    return { client, configuration: await known };
  }

  return {
    async start(next) {
      const { client, configuration } = await provider();
      const verifier = client.randomPKCECodeVerifier();
      const [state, nonce] = [client.randomState(), client.randomNonce()];
      const begun: Begun = { verifier, state, nonce, next };
      const url = client.buildAuthorizationUrl(configuration, {
        redirect_uri: redirectUri(),
        scope: ['openid', 'email', ...scopes].join(' '),
        code_challenge: await client.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        state,
        nonce,
      });
      return { url: url.href, cookie: carried.seal(begun, PATIENCE_MS) };
    },

    async finish(current, cookie) {
      const own = carried.open(cookie) as Begun | undefined;
      if (own === undefined) throw new Error('nothing was begun in this browser');
      const { client, configuration } = await provider();
      const tokens = await client.authorizationCodeGrant(configuration, current, {
        pkceCodeVerifier: own.verifier,
        expectedState: own.state,
        expectedNonce: own.nonce,
        idTokenExpected: true,
      });
      const claims = tokens.claims();
      if (claims === undefined || claims.iss !== issuer || claims.sub.length > 255)
        throw new Error('the provider vouched for nobody');
      // The provider takes a code once (RFC 6749 section 4.1.2); a cookie is good once whatever that does.
      if (!(await carried.isFirst(cookie, PATIENCE_MS))) throw new Error('somebody has signed in with this already');
      const groups: unknown = claims[groupsClaim];
      const named = Array.isArray(groups) ? groups.filter((group) => typeof group === 'string') : [];
      const { email } = claims;
      return {
        approver: {
          id: `${issuer}#${claims.sub}`,
          groups: named.slice(0, MOST_GROUPS).map((group) => `${issuer}#${group}`),
          names: typeof email === 'string' && claims.email_verified === true ? [email] : [],
          via: 'sign-in',
        },
        next: own.next,
      };
    },
  };
}
