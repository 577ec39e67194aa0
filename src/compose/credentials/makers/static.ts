import { createStaticIssuer } from '../../../adapters/issuers/static-issuer.ts';
import { boundException } from '../shared-secrets.ts';
import type { IssuerMaker } from './maker.ts';

export const makeStaticIssuer: IssuerMaker<'static'> = async (settings, { workspace, connector }) => {
  const { config, vault, system } = workspace;
  const { secret } = settings;
  const exception = boundException(config, connector.id, settings);
  const issuer = createStaticIssuer({
    downstream: `secret ${secret}`,
    secret: () => vault.getVersioned(secret),
    exception,
    clock: system.clock,
  });
  return { issuer, lapsesAt: Date.parse(exception.expires) };
};
