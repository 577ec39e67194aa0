import { guardedService } from './guarded-service.ts';
import { type IssuerMaker, secretOf } from './maker.ts';

export const makeAwsIssuer: IssuerMaker<'aws'> = async (settings, { workspace }) => {
  const { region, accessKeyId, secretAccessKey, roleArn, externalId, statements, tagSessions } = settings;
  const { endpoint = stsEndpoint(region) } = settings;
  const { fetch, close } = await guardedService(workspace, endpoint, settings);
  const secret = secretOf(workspace, secretAccessKey);
  const { createAwsIssuer } = await import('../../../adapters/issuers/aws-issuer.ts');
  const issuer = createAwsIssuer({
    endpoint,
    region,
    credentials: async () => ({ accessKeyId, secretAccessKey: await secret() }),
    roleArn,
    externalId,
    statements,
    tagsSessions: tagSessions,
    fetch,
    clock: workspace.system.clock,
    close,
  });
  return { issuer };
};

const stsEndpoint = (region: string): string =>
  `https://sts.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`;
