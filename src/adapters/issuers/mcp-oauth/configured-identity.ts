import type { OauthIdentity } from './authorization.ts';
import type { McpOauthSetup } from './setup.ts';

/** Who Remit is at an authorization server that the configuration names: what it says, and nothing that a server does. */
export function configuredIdentity(
  { clientId, named }: Pick<McpOauthSetup, 'clientId' | 'named'>,
  callback: string,
): OauthIdentity {
  return {
    id: clientId ?? '',
    source: 'configured',
    method: named?.method ?? 'none',
    secret: undefined,
    secretExpiresAt: undefined,
    callback,
  };
}
