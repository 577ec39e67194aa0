import { type IssuerMaker, secretOf } from './maker.ts';

export const makeSshIssuer: IssuerMaker<'ssh'> = async ({ caKey, krlFile, ...settings }, { workspace }) => {
  const { loaded, system } = workspace;
  const { clock, random } = system;
  const { createSshIssuer } = await import('../../../adapters/issuers/ssh-issuer.ts');
  const file = krlFile === undefined ? undefined : loaded.resolvePath(krlFile);
  return { issuer: createSshIssuer({ ...settings, krlFile: file, caKey: secretOf(workspace, caKey), clock, random }) };
};
