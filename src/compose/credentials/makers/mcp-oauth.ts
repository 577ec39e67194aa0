import { mcpOauthSetup } from '../mcp-oauth-setup.ts';
import type { IssuerMaker } from './maker.ts';

export const makeMcpOauthIssuer: IssuerMaker<'mcpOauth'> = async (settings, { workspace, tokens, connector }) => {
  const { createMcpOauthIssuer } = await import('../../../adapters/issuers/mcp-oauth/mcp-oauth-issuer.ts');
  return { issuer: createMcpOauthIssuer(mcpOauthSetup(workspace, tokens, connector, settings)) };
};
