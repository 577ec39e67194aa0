import { genericGrantRequest } from 'openid-client';
import { RemitError } from '../../domain/errors.ts';
import { Secret } from '../../domain/secret.ts';
import type { Clock } from '../../seams/clock.ts';
import type { IssuedCredential, IssueRequest, Issuer } from '../../seams/issuer.ts';
import { assertionClaims, type SignAssertion } from './agent-assertion.ts';
import { ID_JAG, readIdJag } from './id-jag.ts';
import { issueFault } from './issuer-faults.ts';
import { createOauthClient, downstreamOf, type OauthServer } from './oauth-client.ts';
import { createOauthRevoker } from './oauth-revoke.ts';
import { type OauthScopeMap, oauthScopes } from './oauth-scope.ts';
import { summary, withoutCause } from './oauth-summary.ts';
import { boundOf } from './oauth-token.ts';

/** The resource's authorization server, and the identity provider that it trusts. */
export interface IdJagIssuerOptions extends OauthServer {
  readonly idp: OauthServer;
  readonly scopes: OauthScopeMap;
  /** RFC 8707, where tokens are for one resource of that server. */
  readonly resource: string | undefined;
  /** Shortest life of the server's tokens, where it can be no shorter: seconds. */
  readonly tokenSeconds: number;
  /** Whether the connector asks the server about a token at each use. */
  readonly isIntrospected: boolean;
  readonly sign: SignAssertion;
  readonly clock: Clock;
  /** Ends what `fetch` of both keeps open. */
  readonly close: () => Promise<void>;
  /** Longest one revoke may take, milliseconds. */
  readonly revokeWithinMs?: number;
}

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const PROFILE = 'urn:ietf:params:oauth:grant-profile:id-jag';

/**
 * A token of a resource's authorization server on a user's behalf, through the identity provider that both trust
 * (draft-ietf-oauth-identity-assertion-authz-grant-04). Remit holds no token of the user's at lease time: what is exchanged at the provider is
 * an assertion of its own, `sub` the user and `act` the agent, which ends with the lease.
 */
export function createIdJagIssuer(options: IdJagIssuerOptions): Issuer {
  const { server, idp, resource, clock, sign } = options;
  const provider = createOauthClient(idp);
  const client = createOauthClient(options);
  const revoker = createOauthRevoker(client, options);

  async function issue(request: IssueRequest): Promise<IssuedCredential> {
    const { signal, user, resources, actionClasses } = request;
    signal.throwIfAborted();
    const scopes = oauthScopes(options.scopes, resources, actionClasses);
    // The gateway's own listing is of nobody: whether that gets anything is the provider's to say.
    if (user === undefined && scopes.length > 0) {
      throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the task is on nobody’s behalf, and the grant is about a user', {
        hint: 'Start the task with a user’s token (token exchange), or require one: requiresUser of its template.',
      });
    }
    // Before anybody is told of a user: a server that does not take the grant is not asked for it.
    const configuration = await client.configure(signal);
    assertTakesGrant(configuration.serverMetadata());
    const grant = await getGrant(request, scopes);
    signal.throwIfAborted();
    const sentAt = clock();
    const answer = await genericGrantRequest(configuration, JWT_BEARER, {
      assertion: grant.assertion,
      ...(grant.scopes.length > 0 && { scope: grant.scopes.join(' ') }),
    });
    try {
      signal.throwIfAborted();
      const asked = { scopes: grant.scopes, expiresAt: request.expiresAt, sentAt, receivedAt: clock() };
      const nativeExpiresAt = boundOf(answer, asked);
      return {
        fields: { token: new Secret(answer.access_token) },
        scope: `${grant.scopes.join(' ') || 'no scope'} at ${resource ?? server}`,
        nativeExpiresAt,
        handle: new Secret(answer.access_token),
      };
    } catch (error) {
      await revoker.giveBack(answer);
      throw error;
    }
  }

  /** RFC 8693: the user's identity for a grant that only the resource's authorization server can use, and only for this client. */
  async function getGrant(request: IssueRequest, scopes: readonly string[]) {
    const configuration = await provider.configure(request.signal);
    const subject = await sign(assertionClaims(request, idp.server, scopes, clock), 'JWT');
    const answer = await genericGrantRequest(configuration, TOKEN_EXCHANGE, {
      requested_token_type: ID_JAG,
      audience: server,
      ...(resource !== undefined && { resource }),
      ...(scopes.length > 0 && { scope: scopes.join(' ') }),
      subject_token: subject,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    });
    const expected = {
      issuer: idp.server,
      audience: server,
      clientId: options.clientId,
      resource,
      scopes,
      now: clock(),
    };
    return readIdJag(answer, expected);
  }

  /** A server may say in its metadata which profiles it takes. One that says nothing is asked. */
  function assertTakesGrant(metadata: Readonly<Record<string, unknown>>): void {
    const profiles = metadata.authorization_grant_profiles_supported;
    if (!Array.isArray(profiles) || profiles.includes(PROFILE)) return;
    throw new RemitError('ERR_CREDENTIAL_ISSUE', 'its authorization server does not take identity assertion grants', {
      hint: `Its metadata name other grant profiles than ${PROFILE}. Ask who runs it.`,
    });
  }

  return {
    kind: 'id_jag',
    downstream: downstreamOf(options),
    minTtlSeconds: Math.max(1, options.tokenSeconds),
    get revocation() {
      return revoker.revocation();
    },
    needsHandle: true,
    async issue(request) {
      try {
        return await issue(request);
      } catch (error) {
        throw withoutCause(
          issueFault(summary(error), request.signal, {
            where: `${idp.server}, ${server}`,
            what: 'no token was given',
            hint: 'See what the identity provider or the authorization server has against it: the client, the user, the scopes.',
          }),
        );
      }
    },
    revoke: (_lease, handle) => revoker.revoke(handle),
    close: () => options.close(),
  };
}
