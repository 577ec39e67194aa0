import type { IssuerMaker } from './maker.ts';
import { oauthServerOf } from './oauth-server.ts';

export const makeIdJagIssuer: IssuerMaker<'idJag'> = async (settings, parts) => {
  const { scopes, resources, introspected, resource, tokenSeconds } = settings;
  const { createIdJagIssuer } = await import('../../../adapters/issuers/id-jag-issuer.ts');
  const idp = oauthServerOf(settings.idp, parts);
  const own = oauthServerOf(settings, parts);
  const issuer = createIdJagIssuer({
    ...own,
    idp,
    tokenSeconds,
    resource,
    scopes: { classes: scopes, resources },
    isIntrospected: introspected,
    sign: (claims, type) => parts.tokens.sign(claims, type),
    clock: parts.workspace.system.clock,
    close: async () => {
      await Promise.all([idp.close(), own.close()]);
    },
  });
  return { issuer };
};
