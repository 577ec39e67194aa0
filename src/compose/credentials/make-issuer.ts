import { CREDENTIAL_KINDS, type CredentialKind } from '../../config/credential-schema.ts';
import type { ConnectorConfig } from '../../config/schema.ts';
import { RemitError } from '../../domain/errors.ts';
import type { EstateConnector } from '../estate.ts';
import type { Workspace } from '../workspace.ts';
import type { ConnectorTokens } from './connector-tokens.ts';
import { makeAwsIssuer } from './makers/aws.ts';
import { makeEntraIssuer } from './makers/entra.ts';
import { makeGcpIssuer } from './makers/gcp.ts';
import { makeGithubAppIssuer } from './makers/github-app.ts';
import { makeIdJagIssuer } from './makers/id-jag.ts';
import { makeJwtIssuer } from './makers/jwt.ts';
import { makeKubernetesIssuer } from './makers/kubernetes.ts';
import type { IssuerMaker, MadeIssuer, MakerParts } from './makers/maker.ts';
import { makeMcpOauthIssuer } from './makers/mcp-oauth.ts';
import { makeMysqlIssuer } from './makers/mysql.ts';
import { makeNatsIssuer } from './makers/nats.ts';
import { makeOauthIssuer } from './makers/oauth.ts';
import { makeOauthRefreshIssuer } from './makers/oauth-refresh.ts';
import { makePackageIssuer } from './makers/package.ts';
import { makePostgresIssuer } from './makers/postgres.ts';
import { makeRedisIssuer } from './makers/redis.ts';
import { makeSshIssuer } from './makers/ssh.ts';
import { makeStaticIssuer } from './makers/static.ts';
import { makeVaultIssuer } from './makers/vault.ts';

type Credential = NonNullable<ConnectorConfig['credential']>;

/** How the issuer of each kind is made. */
const MAKERS: { readonly [K in CredentialKind]: IssuerMaker<K> } = {
  postgres: makePostgresIssuer,
  redis: makeRedisIssuer,
  mysql: makeMysqlIssuer,
  nats: makeNatsIssuer,
  ssh: makeSshIssuer,
  oauth: makeOauthIssuer,
  mcpOauth: makeMcpOauthIssuer,
  githubApp: makeGithubAppIssuer,
  idJag: makeIdJagIssuer,
  oauthRefresh: makeOauthRefreshIssuer,
  jwt: makeJwtIssuer,
  vault: makeVaultIssuer,
  kubernetes: makeKubernetesIssuer,
  aws: makeAwsIssuer,
  gcp: makeGcpIssuer,
  entra: makeEntraIssuer,
  package: makePackageIssuer,
  static: makeStaticIssuer,
};

/** The issuer that a connector's credential names. Libraries that only another kind needs are not loaded. */
export async function makeIssuer(
  workspace: Workspace,
  tokens: ConnectorTokens,
  connector: EstateConnector,
  credential: Credential,
): Promise<MadeIssuer & { kind: CredentialKind }> {
  for (const kind of CREDENTIAL_KINDS) {
    const made = await makeOne(kind, credential, { workspace, tokens, connector });
    if (made !== undefined) return { kind, ...made };
  }
  throw new RemitError('ERR_CONFIG_INVALID', `connector ${connector.id} names no kind of credential`, {
    where: `connectors.${connector.id}.credential`,
  });
}

async function makeOne<K extends CredentialKind>(
  kind: K,
  credential: Credential,
  parts: MakerParts,
): Promise<MadeIssuer | undefined> {
  const settings = credential[kind];
  return settings === undefined ? undefined : MAKERS[kind](settings, parts);
}
