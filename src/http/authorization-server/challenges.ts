import { protectedResourceMetadataPath } from './metadata.ts';
import { toDescription } from './oauth-refusal.ts';

/**
 * `WWW-Authenticate` of a 401 (RFC 6750 section 3, RFC 9728 section 5.1).
 * A request without any token gets no error code, as RFC 6750 section 3.1 asks.
 */
export function unauthorizedChallenge(
  resource: string,
  refusal: { error: 'invalid_token' | 'missing_token'; reason: string },
): string {
  return challenge(resource, {
    ...(refusal.error === 'invalid_token' && { error: 'invalid_token', error_description: refusal.reason }),
  });
}

function challenge(resource: string, parameters: Readonly<Record<string, string>>): string {
  const all = {
    ...parameters,
    resource_metadata: new URL(protectedResourceMetadataPath(resource), resource).href,
  };
  // `toDescription` leaves no quote, backslash or control character, so a quoted-string needs no escape.
  return `Bearer ${Object.entries(all)
    .map(([name, value]) => `${name}="${toDescription(value)}"`)
    .join(', ')}`;
}
