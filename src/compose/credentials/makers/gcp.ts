import { GOOGLE_TOKEN_URL } from '../../../adapters/clouds/google-token.ts';
import { guardedService } from './guarded-service.ts';
import { type IssuerMaker, secretOf } from './maker.ts';

const STS_URL = 'https://sts.googleapis.com/v1/token';
const IAM_URL = 'https://iamcredentials.googleapis.com';

export const makeGcpIssuer: IssuerMaker<'gcp'> = async (
  { key, impersonate, rules, endpoints, ...more },
  { workspace },
) => {
  const { token = GOOGLE_TOKEN_URL, sts = STS_URL, iamCredentials = IAM_URL } = endpoints;
  const { fetch, close } = await guardedService(workspace, token, more);
  const { createGcpIssuer } = await import('../../../adapters/issuers/gcp-issuer.ts');
  const issuer = createGcpIssuer({
    key: secretOf(workspace, key),
    tokenUrl: token,
    stsUrl: sts,
    iamUrl: iamCredentials,
    impersonate,
    rules,
    fetch,
    clock: workspace.system.clock,
    close,
  });
  return { issuer };
};
