import { guardedService } from './guarded-service.ts';
import { type IssuerMaker, secretOf } from './maker.ts';

export const makeEntraIssuer: IssuerMaker<'entra'> = async (settings, { workspace }) => {
  const { certificate, scopes, allowPrivateNetwork, discoveryScope, ...app } = settings;
  const { clock, random } = workspace.system;
  const { fetch, close } = await guardedService(workspace, app.authority, { allowPrivateNetwork });
  const { createEntraIssuer } = await import('../../../adapters/issuers/entra-issuer.ts');
  const issuer = createEntraIssuer({
    ...app,
    certificate: secretOf(workspace, certificate),
    rules: scopes,
    discoveryScope,
    fetch,
    clock,
    random,
    close,
  });
  return { issuer };
};
