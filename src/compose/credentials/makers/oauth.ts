import type { IssuerMaker } from './maker.ts';
import { oauthServerOf } from './oauth-server.ts';

export const makeOauthIssuer: IssuerMaker<'oauth'> = async (settings, parts) => {
  const { scopes, resources, introspected, audience, resource, grant, tokenSeconds } = settings;
  const { createOauthIssuer } = await import('../../../adapters/issuers/oauth-issuer.ts');
  const issuer = createOauthIssuer({
    ...oauthServerOf(settings, parts),
    grant,
    tokenSeconds,
    audience,
    resource,
    scopes: { classes: scopes, resources },
    isIntrospected: introspected,
    sign: (claims, type) => parts.tokens.sign(claims, type),
    clock: parts.workspace.system.clock,
  });
  return { issuer };
};
