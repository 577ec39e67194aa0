import { decodeJwt, decodeProtectedHeader } from 'jose';
import type { TokenEndpointResponse } from 'openid-client';
import { RemitError } from '../../domain/errors.ts';

export const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag';

/** What an identity assertion authorization grant was asked for. */
export interface ExpectedIdJag {
  /** Issuer identifier of the identity provider. */
  readonly issuer: string;
  /** Of the resource's authorization server. */
  readonly audience: string;
  /** Remit, as that server knows it. */
  readonly clientId: string;
  readonly resource: string | undefined;
  readonly scopes: readonly string[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/**
 * The grant of a token exchange, if it is one and gives no more than was asked for
 * (draft-ietf-oauth-identity-assertion-authz-grant-04). Not verified: whom it is for does that. It came from the provider
 * itself; what is looked at is whether anything else would be done with it than was meant.
 * @returns scopes that it carries, which may be fewer
 * @throws `ERR_CREDENTIAL_ISSUE`
 */
export function readIdJag(
  answer: TokenEndpointResponse,
  expected: ExpectedIdJag,
): { assertion: string; scopes: readonly string[] } {
  const { issuer, audience, clientId, resource, now } = expected;
  const assertion = answer.access_token;
  if (answer.issued_token_type !== ID_JAG) throw refuse(`it is a ${JSON.stringify(answer.issued_token_type ?? null)}`);
  if (answer.refresh_token !== undefined) throw refuse('it came with a refresh token');
  const { typ, claims } = decode(assertion);
  // RFC 8725 section 3.11: a token of another kind must not be shown as one of these.
  if (typ?.toLowerCase() !== 'oauth-id-jag+jwt') throw refuse('its type is not oauth-id-jag+jwt');
  if (claims.iss !== issuer) throw refuse('another issuer made it');
  if (
    claims.aud !== audience &&
    !(Array.isArray(claims.aud) && claims.aud.length === 1 && claims.aud[0] === audience)
  ) {
    throw refuse('it is for another authorization server');
  }
  if (claims.client_id !== clientId) throw refuse('it is for another client than Remit is there');
  if (claims.jti === undefined) throw refuse('it could be used again: it has no jti');
  if (claims.exp === undefined || claims.exp * 1000 <= now) throw refuse('it has ended, or does not say when it does');
  if (
    resource !== undefined &&
    claims.resource !== undefined &&
    ![claims.resource].flat().every((one) => one === resource)
  ) {
    throw refuse('it is for another resource');
  }
  return { assertion, scopes: narrowedScopes(answer.scope, claims.scope, expected.scopes) };
}

/** Of what the answer and the grant itself say, the grant is what counts: the next server reads nothing else. */
function narrowedScopes(ofAnswer: unknown, ofGrant: unknown, asked: readonly string[]): readonly string[] {
  const said = typeof ofGrant === 'string' ? ofGrant : typeof ofAnswer === 'string' ? ofAnswer : undefined;
  const scopes = said === undefined ? asked : said.split(' ').filter((scope) => scope !== '');
  const more = scopes.filter((scope) => !asked.includes(scope));
  if (more.length > 0) {
    throw refuse(`the scope ${more.map((scope) => JSON.stringify(scope)).join(', ')} was not asked for`);
  }
  if (scopes.length === 0 && asked.length > 0) throw refuse('it grants none of the scopes that the task needs');
  return scopes;
}

function decode(assertion: string) {
  try {
    return { typ: decodeProtectedHeader(assertion).typ, claims: decodeJwt(assertion) };
  } catch {
    throw refuse('it is no JWT');
  }
}

function refuse(how: string): RemitError {
  return new RemitError('ERR_CREDENTIAL_ISSUE', `what the identity provider gave is not what was asked for: ${how}`, {
    hint: 'See how the provider maps Remit’s client to the resource’s authorization server: audience, client id, scopes.',
  });
}
