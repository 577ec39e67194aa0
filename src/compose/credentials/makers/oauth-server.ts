import type { OauthServer } from '../../../adapters/issuers/oauth-client.ts';
import { createGuardedFetch, type GuardedFetch } from '../../../adapters/upstreams/guarded-fetch.ts';
import { importClientKey } from '../import-client-key.ts';
import { type MakerParts, secretOf } from './maker.ts';

interface ServerSettings {
  readonly server: string;
  readonly allowPrivateNetwork: boolean;
  readonly clientId: string;
  readonly clientSecret?: string | undefined;
  readonly clientKey?: string | undefined;
}

/** An authorization server that the configuration names, and Remit as its client. The caller closes what `close` frees. */
export function oauthServerOf(
  { server, allowPrivateNetwork, clientId, clientSecret, clientKey }: ServerSettings,
  { workspace, tokens }: Pick<MakerParts, 'workspace' | 'tokens'>,
): OauthServer & Pick<GuardedFetch, 'close'> {
  const { fetch, close } = createGuardedFetch({ hostname: new URL(server).hostname, allowPrivateNetwork });
  return {
    server,
    clientId,
    clientSecret: clientSecret === undefined ? undefined : secretOf(workspace, clientSecret),
    clientKey:
      clientKey === undefined
        ? () => tokens.clientKey()
        : async () => importClientKey(await workspace.vault.get(clientKey)),
    fetch,
    close,
  };
}
