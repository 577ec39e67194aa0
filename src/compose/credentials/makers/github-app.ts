import { guardedService } from './guarded-service.ts';
import { type IssuerMaker, secretOf } from './maker.ts';

export const makeGithubAppIssuer: IssuerMaker<'githubApp'> = async (settings, { workspace }) => {
  const { api, appId, installationId, account, permissions, privateKey } = settings;
  const { fetch, close } = await guardedService(workspace, api, settings);
  const { createGithubAppIssuer } = await import('../../../adapters/issuers/github-app-issuer.ts');
  const issuer = createGithubAppIssuer({
    api,
    appId: String(appId),
    installationId,
    account,
    permissions,
    privateKey: secretOf(workspace, privateKey),
    fetch,
    clock: workspace.system.clock,
    close,
  });
  return { issuer };
};
