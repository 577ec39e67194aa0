import { oauthRefreshSetup } from '../oauth-refresh-setup.ts';
import type { IssuerMaker } from './maker.ts';

export const makeOauthRefreshIssuer: IssuerMaker<'oauthRefresh'> = async (settings, parts) => {
  const { workspace, tokens, connector } = parts;
  const { createMcpOauthIssuer } = await import('../../../adapters/issuers/mcp-oauth/mcp-oauth-issuer.ts');
  return { issuer: createMcpOauthIssuer(oauthRefreshSetup(workspace, tokens, connector.id, settings)) };
};
