import { type IssuerMaker, optionalSecret } from './maker.ts';

export const makeRedisIssuer: IssuerMaker<'redis'> = async (
  { adminPassword, saveUsers, ...address },
  { workspace },
) => {
  const { clock, random } = workspace.system;
  const { createRedisIssuer } = await import('../../../adapters/issuers/redis-issuer.ts');
  const password = optionalSecret(workspace, adminPassword);
  return { issuer: createRedisIssuer({ ...address, adminPassword: password, savesUsers: saveUsers, clock, random }) };
};
