import { type IssuerMaker, secretOf } from './maker.ts';

export const makeNatsIssuer: IssuerMaker<'nats'> = async (
  { accountKey, operatorKey, systemCredentials, ...settings },
  { workspace },
) => {
  const { createNatsIssuer } = await import('../../../adapters/issuers/nats-issuer.ts');
  return {
    issuer: createNatsIssuer({
      ...settings,
      accountKey: secretOf(workspace, accountKey),
      operatorKey: secretOf(workspace, operatorKey),
      systemCredentials: secretOf(workspace, systemCredentials),
      clock: workspace.system.clock,
    }),
  };
};
