import { type IssuerMaker, optionalSecret } from './maker.ts';

export const makeMysqlIssuer: IssuerMaker<'mysql'> = async ({ adminPassword, ...settings }, { workspace }) => {
  const { clock, random } = workspace.system;
  const { createMysqlIssuer } = await import('../../../adapters/issuers/mysql-issuer.ts');
  const password = optionalSecret(workspace, adminPassword);
  return { issuer: createMysqlIssuer({ ...settings, adminPassword: password, clock, random }) };
};
