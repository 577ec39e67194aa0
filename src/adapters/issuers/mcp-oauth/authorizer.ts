import {
  authorizationCodeGrant,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  type ServerMetadata,
  type TokenEndpointResponse,
} from 'openid-client';
import { isRemitError } from '../../../domain/errors.ts';
import { Secret } from '../../../domain/secret.ts';
import { describeFault } from '../issuer-faults.ts';
import { summary } from '../oauth-summary.ts';
import type { Authorization, OauthIdentity } from './authorization.ts';
import { type BearerChallenge, readChallenge, SCOPE } from './challenge.ts';
import { chooseIdentity } from './choose-identity.ts';
import { chooseScopes } from './choose-scopes.ts';
import { configure } from './configure.ts';
import { configuredIdentity } from './configured-identity.ts';
import { findResource } from './find-resource.ts';
import { assertAuthorizes, findServer } from './find-server.ts';
import { giveBack } from './give-back.ts';
import { probe } from './probe.ts';
import { refused } from './refused.ts';
import type { AuthorizerSetup } from './setup.ts';

/** An authorization that waits for its owner's browser. */
export interface PendingAuthorization {
  /** Secret until it is used: whoever knows it can answer in the owner's name. */
  readonly state: string;
  readonly verifier: string;
  readonly metadata: ServerMetadata;
  readonly identity: OauthIdentity;
  readonly resource: string | undefined;
  readonly scopes: readonly string[];
  readonly by: string;
}

export interface BegunAuthorization extends PendingAuthorization {
  /** For the owner to open. */
  readonly url: string;
}

interface Target {
  readonly challenge: BearerChallenge | undefined;
  readonly resource: string | undefined;
  readonly issuers: readonly string[];
  readonly scopes: readonly string[] | undefined;
}

/** What came of it, for people and for the record: no secret. */
export interface AuthorizationFacts {
  readonly issuer: string;
  readonly resource: string | undefined;
  readonly client: string;
  readonly registration: OauthIdentity['source'];
  readonly scopes: readonly string[];
}

export interface Authorizer {
  /**
   * Finds out where a connector's owner authorises Remit, and as whom. Registers it there where it has to.
   * @param wanted scopes that the owner names
   * @throws `ERR_AUTHORIZATION_REFUSED`, `ERR_STORE_…`
   */
  begin(wanted: readonly string[], by: string): Promise<BegunAuthorization>;
  /**
   * The owner's browser came back. The authorization replaces the one before.
   * @param beforeStored puts it on the trail, between the server's answer and the vault
   * @throws `ERR_AUTHORIZATION_REFUSED`, `ERR_STORE_…`
   */
  complete(
    pending: PendingAuthorization,
    query: URLSearchParams,
    beforeStored: (facts: AuthorizationFacts) => Promise<void>,
  ): Promise<AuthorizationFacts>;
  /** A server answered 401 or 403: what it finds missing is asked for the next time. */
  noteChallenge(status: number, header: string): void;
  /** Scopes that it found missing here since the last authorization. @param authorizedAt when that was, milliseconds since the epoch */
  missing(authorizedAt?: number): readonly string[] | undefined;
}

export const factsOf = ({
  issuer,
  resource,
  identity,
  scopes,
}: Pick<Authorization, 'issuer' | 'resource' | 'identity' | 'scopes'>): AuthorizationFacts => ({
  issuer,
  resource,
  client: identity.id,
  registration: identity.source,
  scopes,
});

export function createAuthorizer(setup: AuthorizerSetup): Authorizer {
  const { url, store, fetch, clock, random, callback, documentUrl } = setup;
  const newToken = (): string => Buffer.from(random(32)).toString('base64url');
  let found: { readonly scopes: readonly string[]; readonly at: number } | undefined;

  /** Another node may have been answered since: what was given after that is not missing any more. */
  const missingFrom = (authorizedAt = 0): readonly string[] | undefined =>
    found !== undefined && found.at >= authorizedAt ? found.scopes : undefined;

  async function begin(wanted: readonly string[], by: string): Promise<BegunAuthorization> {
    const known = (await store.read())?.authorization;
    const missing = missingFrom(known?.authorizedAt);
    const configured = setup.scopes === undefined ? [] : Object.values(setup.scopes.classes).flat();
    if (setup.scopes !== undefined && wanted.length === 0 && missing !== undefined) {
      // Leases are narrowed by class: what one lacked was not asked for, whatever was authorised.
      throw refused(
        `it wants the scopes ${missing.join(' ')}, which the lease of that call was not narrowed to`,
        `connectors.${setup.connector}.credential.mcpOauth.scopes`,
        'Name them for the class of the tool, start the gateway again, and authorise then.',
      );
    }
    const { challenge, resource, issuers, scopes: ofResource } = await findTarget();
    const metadata = await findServer(chooseIssuer(issuers), url, fetch);
    assertAuthorizes(metadata);
    const scopes = chooseScopes(
      {
        wanted: wanted.length > 0 ? wanted : configured,
        challenge,
        ofResource,
        ofServer: metadata.scopes_supported,
        held: known?.issuer === metadata.issuer ? known.scopes : undefined,
        missing,
      },
      url,
    );
    const identity =
      setup.named === undefined
        ? await chooseIdentity(metadata, {
            clientId: setup.clientId,
            hasSecret: setup.clientSecret !== undefined,
            documentUrl,
            callback,
            known,
            now: clock(),
            fetch,
          })
        : configuredIdentity(setup, callback);
    const [state, verifier] = [newToken(), newToken()];
    const address = buildAuthorizationUrl(await configure(setup, metadata, identity), {
      redirect_uri: callback,
      state,
      code_challenge: await calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      ...(resource !== undefined && { resource }),
      ...(scopes.length > 0 && { scope: scopes.join(' ') }),
      // OpenID Connect Core section 11: without it a server ignores the scope.
      ...(scopes.includes('offline_access') && { prompt: 'consent' }),
    });
    return { state, verifier, metadata, identity, resource, scopes, by, url: address.href };
  }

  /** Where the owner is sent, and for which resource: what the configuration names, else what the connector's server says of itself. */
  async function findTarget(): Promise<Target> {
    const { named } = setup;
    if (named !== undefined)
      return { challenge: undefined, resource: named.resource, issuers: [url], scopes: undefined };
    const challenge = await probe(url, fetch);
    return { challenge, ...(await findResource(url, challenge, fetch)) };
  }

  function chooseIssuer(issuers: readonly string[]): string {
    const chosen = setup.server ?? issuers[0];
    if (chosen !== undefined && issuers.includes(chosen)) return chosen;
    throw refused(
      `it does not name ${chosen} as an authorization server of its`,
      url,
      `It names ${issuers
        .map((issuer) => JSON.stringify(issuer))
        .join(', ')
        .slice(0, 300)}: change credential.mcpOauth.server if that is right.`,
    );
  }

  async function redeem(pending: PendingAuthorization, query: URLSearchParams): Promise<TokenEndpointResponse> {
    const { metadata, identity, verifier, state, resource } = pending;
    const address = new URL(identity.callback);
    address.search = query.toString();
    try {
      // Compares `iss` as text (RFC 9207 section 2.4) and `state` before the code is sent.
      return await authorizationCodeGrant(
        await configure(setup, metadata, identity),
        address,
        { pkceCodeVerifier: verifier, expectedState: state },
        resource === undefined ? {} : { resource },
      );
    } catch (error) {
      if (isRemitError(error)) throw error;
      throw refused(
        `the authorization was not given: ${describeFault(summary(error))}`,
        metadata.issuer,
        `Begin anew with \`remit connector authorize ${setup.connector}\`.`,
      );
    }
  }

  function authorizationOf(
    pending: PendingAuthorization,
    answer: TokenEndpointResponse,
    sentAt: number,
  ): Authorization {
    const { metadata, identity, resource, by } = pending;
    const { refresh_token: refreshToken, expires_in: seconds, scope, access_token: token } = answer;
    if (answer.token_type.toLowerCase() !== 'bearer') {
      throw refused(
        `its tokens are ${JSON.stringify(answer.token_type)}`,
        metadata.issuer,
        'Remit carries bearer tokens.',
      );
    }
    const isShared = refreshToken === undefined;
    if (isShared && ((setup.sharedTokenUntil ?? 0) <= sentAt || seconds === undefined)) {
      throw refused(
        `its authorization server gave no refresh token${seconds === undefined ? ', and a token that does not say when it ends' : ''}`,
        metadata.issuer,
        'All leases would be one token, that none of them can revoke: only an exception in credential.mcpOauth.sharedToken allows it, of a token that ends.',
      );
    }
    const granted = scope === undefined ? pending.scopes : scope.split(' ').filter((one) => SCOPE.test(one));
    return {
      issuer: metadata.issuer,
      resource,
      identity,
      scopes: granted,
      refreshToken: refreshToken === undefined ? undefined : new Secret(refreshToken),
      sharedToken: isShared ? { value: new Secret(token), expiresAt: sentAt + (seconds ?? 0) * 1000 } : undefined,
      authorizedAt: clock(),
      authorizedBy: by,
      from: undefined,
      claim: undefined,
      unanswered: undefined,
      ended: undefined,
    };
  }

  return {
    begin,
    async complete(pending, query, beforeStored) {
      const sentAt = clock();
      const answer = await redeem(pending, query);
      try {
        const authorization = authorizationOf(pending, answer, sentAt);
        const facts = factsOf(authorization);
        await beforeStored(facts);
        await store.write(authorization, (await store.read())?.version ?? 0);
        found = undefined;
        return facts;
      } catch (error) {
        await giveBack(setup, pending.metadata, pending.identity, [answer.refresh_token, answer.access_token]);
        throw error;
      }
    },
    noteChallenge(status, header) {
      const challenge = status === 403 ? readChallenge(header) : undefined;
      if (challenge?.error === 'insufficient_scope' && challenge.scopes !== undefined)
        found = { scopes: challenge.scopes, at: clock() };
    },
    missing: missingFrom,
  };
}
