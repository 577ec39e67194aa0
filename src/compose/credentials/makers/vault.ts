import type { IssuerMaker } from './maker.ts';
import { vaultServer } from './vault-server.ts';

export const makeVaultIssuer: IssuerMaker<'vault'> = async (settings, parts) => {
  const { mount, roles, discoveryRole, policies, revocation } = settings;
  const server = await vaultServer(settings, parts);
  const { createVaultIssuer } = await import('../../../adapters/issuers/vault-issuer.ts');
  return { issuer: createVaultIssuer({ ...server, mount, rules: roles, discoveryRole, policies, revocation }) };
};
