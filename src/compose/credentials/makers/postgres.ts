import { type IssuerMaker, optionalSecret } from './maker.ts';

export const makePostgresIssuer: IssuerMaker<'postgres'> = async ({ adminPassword, ...address }, { workspace }) => {
  const { clock, random } = workspace.system;
  const { createPostgresIssuer } = await import('../../../adapters/issuers/postgres-issuer.ts');
  const password = optionalSecret(workspace, adminPassword);
  return { issuer: createPostgresIssuer({ ...address, adminPassword: password, clock, random }) };
};
