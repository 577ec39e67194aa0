import { decodeJwt } from 'jose';
import type { TokenEndpointResponse } from 'openid-client';
import { RemitError } from '../../domain/errors.ts';

/** What was asked for, and when. Milliseconds since the epoch. */
export interface AskedFor {
  readonly scopes: readonly string[];
  readonly expiresAt: number;
  readonly sentAt: number;
  readonly receivedAt: number;
}

/** Seconds are cut off or rounded up on the way; a token is not longer than asked for within this. */
const ROUNDING_MS = 1_000;

/**
 * When the token ends, if it gives no more than was asked for: no other scope, no longer life, no refresh token (RFC 8693 section 2.2.1: what
 * the answer does not say of its scope is as it was asked).
 * @throws `ERR_CREDENTIAL_ISSUE` where it gives more, or does not say when it ends
 */
export function boundOf(answer: TokenEndpointResponse, asked: AskedFor): number {
  const given = answer.scope === undefined ? asked.scopes : answer.scope.split(' ').filter((scope) => scope !== '');
  const more = given.filter((scope) => !asked.scopes.includes(scope));
  if (more.length > 0)
    throw wider(`the scope ${more.map((scope) => JSON.stringify(scope)).join(', ')} was not asked for`);
  if (answer.refresh_token !== undefined) throw wider('it came with a refresh token');
  if (answer.token_type.toLowerCase() !== 'bearer') throw wider(`it is a ${JSON.stringify(answer.token_type)} token`);
  const own = ownExpiry(answer.access_token);
  const lifeMs = answer.expires_in === undefined ? undefined : answer.expires_in * 1000;
  if (own === undefined && lifeMs === undefined) throw wider('it does not say when it ends');
  // The server's clock began to count somewhere between sending and receiving.
  const earliest = Math.max(own ?? 0, asked.sentAt + (lifeMs ?? 0));
  if (earliest > asked.expiresAt + ROUNDING_MS) {
    throw wider(`it lives ${Math.ceil((earliest - asked.expiresAt) / 1000)} s longer than its lease`);
  }
  const latest = Math.max(own ?? 0, lifeMs === undefined ? 0 : asked.receivedAt + lifeMs);
  return Math.min(latest, asked.expiresAt);
}

function wider(how: string): RemitError {
  return new RemitError('ERR_CREDENTIAL_ISSUE', `the authorization server gave more than was asked for: ${how}`, {
    hint: 'Have it narrow what it exchanges: scope and life as asked. Where its tokens cannot be shorter, say so in tokenSeconds.',
  });
}

/** `exp` of a token that is a JWT. Not verified: it is the server's own word, about its own token. */
function ownExpiry(token: string): number | undefined {
  try {
    const { exp } = decodeJwt(token);
    return exp === undefined ? undefined : exp * 1000;
  } catch {
    return undefined;
  }
}
