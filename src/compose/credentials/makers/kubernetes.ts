import { guardedService } from './guarded-service.ts';
import { type IssuerMaker, secretIn, secretOf } from './maker.ts';

export const makeKubernetesIssuer: IssuerMaker<'kubernetes'> = async (settings, { workspace }) => {
  const {
    server,
    namespace,
    token,
    tokenFile = '',
    serviceAccounts,
    discoveryServiceAccount,
    audiences,
    reviewed,
  } = settings;
  const { fetch, close } = await guardedService(workspace, server, settings);
  const { createKubernetesIssuer } = await import('../../../adapters/issuers/kubernetes-issuer.ts');
  const issuer = createKubernetesIssuer({
    server,
    namespace,
    token: token === undefined ? secretIn(workspace, tokenFile) : secretOf(workspace, token),
    rules: serviceAccounts,
    discoveryServiceAccount,
    audiences,
    isReviewed: reviewed,
    fetch,
    clock: workspace.system.clock,
    close,
  });
  return { issuer };
};
