import { genericGrantRequest } from 'openid-client';
import { Secret } from '../../domain/secret.ts';
import type { Clock } from '../../seams/clock.ts';
import type { IssuedCredential, IssueRequest, Issuer } from '../../seams/issuer.ts';
import { assertionClaims, type SignAssertion } from './agent-assertion.ts';
import { issueFault } from './issuer-faults.ts';
import { createOauthClient, downstreamOf, type OauthServer } from './oauth-client.ts';
import { createOauthRevoker } from './oauth-revoke.ts';
import { type OauthScopeMap, oauthScopes } from './oauth-scope.ts';
import { summary, withoutCause } from './oauth-summary.ts';
import { boundOf } from './oauth-token.ts';

export interface OauthIssuerOptions extends OauthServer {
  /**
   * `token_exchange`: an assertion about the agent, its user and its task is exchanged (RFC 8693). `client_credentials`: the token is the
   * client's own, narrowed, for servers that exchange nothing; the agent is not named in it.
   */
  readonly grant: 'token_exchange' | 'client_credentials';
  readonly scopes: OauthScopeMap;
  /** RFC 8693 `audience`, RFC 8707 `resource`: whom the token is for. */
  readonly audience: string | undefined;
  readonly resource: string | undefined;
  /** Shortest life of the server's tokens, where it can be no shorter: seconds. */
  readonly tokenSeconds: number;
  /** Whether the connector asks the server about a token at each use, as it must of an opaque one: otherwise revoking does not reach it. */
  readonly isIntrospected: boolean;
  readonly sign: SignAssertion;
  readonly clock: Clock;
  /** Ends what `fetch` keeps open. */
  readonly close: () => Promise<void>;
  /** Longest one revoke may take, milliseconds. */
  readonly revokeWithinMs?: number;
}

const GRANTS = {
  token_exchange: 'urn:ietf:params:oauth:grant-type:token-exchange',
  client_credentials: 'client_credentials',
} as const;
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

/**
 * A token of a foreign authorization server, for one lease: scope, audience and life as the task needs them, and no more. The token itself is
 * the handle that revoking takes (RFC 7009).
 */
export function createOauthIssuer(options: OauthIssuerOptions): Issuer {
  const { server, grant, audience, resource, clock, sign } = options;
  const client = createOauthClient(options);
  const revoker = createOauthRevoker(client, options);

  async function issue(request: IssueRequest): Promise<IssuedCredential> {
    const { signal } = request;
    signal.throwIfAborted();
    const scopes = oauthScopes(options.scopes, request.resources, request.actionClasses);
    const configuration = await client.configure(signal);
    const parameters = await parametersOf(request, scopes);
    const sentAt = clock();
    const answer = await genericGrantRequest(configuration, GRANTS[grant], parameters);
    try {
      signal.throwIfAborted();
      const nativeExpiresAt = boundOf(answer, { scopes, expiresAt: request.expiresAt, sentAt, receivedAt: clock() });
      return {
        fields: { token: new Secret(answer.access_token) },
        scope: `${scopes.join(' ') || 'no scope'} at ${audience ?? resource ?? server}`,
        nativeExpiresAt,
        handle: new Secret(answer.access_token),
      };
    } catch (error) {
      await revoker.giveBack(answer);
      throw error;
    }
  }

  async function parametersOf(request: IssueRequest, scopes: readonly string[]): Promise<Record<string, string>> {
    const common = {
      ...(audience !== undefined && { audience }),
      ...(resource !== undefined && { resource }),
      ...(scopes.length > 0 && { scope: scopes.join(' ') }),
    };
    if (grant === 'client_credentials') return common;
    // RFC 8693 section 2.1. The assertion is for the server alone (`aud`), and ends with the lease: so should what it is exchanged for.
    const subject = await sign(assertionClaims(request, server, scopes, clock), 'JWT');
    return {
      ...common,
      subject_token: subject,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      requested_token_type: ACCESS_TOKEN,
    };
  }

  return {
    kind: 'oauth',
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
            where: server,
            what: 'no token was given',
            hint: 'See what the authorization server has against it: the client, its grant types, the audience, the scopes.',
          }),
        );
      }
    },
    revoke: (_lease, handle) => revoker.revoke(handle),
    close: () => options.close(),
  };
}
