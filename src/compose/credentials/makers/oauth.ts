import { createGuardedFetch } from '../../../adapters/upstreams/guarded-fetch.ts';
import { importClientKey } from '../import-client-key.ts';
import { type IssuerMaker, secretOf } from './maker.ts';

export const makeOauthIssuer: IssuerMaker<'oauth'> = async (settings, { workspace, tokens }) => {
  const { clientSecret, clientKey, scopes, resources, introspected, audience, resource, ...rest } = settings;
  const { allowPrivateNetwork, ...options } = rest;
  const hostname = new URL(options.server).hostname;
  const { fetch, close } = createGuardedFetch({ hostname, allowPrivateNetwork });
  const { createOauthIssuer } = await import('../../../adapters/issuers/oauth-issuer.ts');
  const issuer = createOauthIssuer({
    ...options,
    audience,
    resource,
    scopes: { classes: scopes, resources },
    isIntrospected: introspected,
    clientSecret: clientSecret === undefined ? undefined : secretOf(workspace, clientSecret),
    clientKey:
      clientKey === undefined
        ? () => tokens.clientKey()
        : async () => importClientKey(await workspace.vault.get(clientKey)),
    sign: (claims, type) => tokens.sign(claims, type),
    fetch,
    clock: workspace.system.clock,
    close,
  });
  return { issuer };
};
