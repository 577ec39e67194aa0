import { z } from 'zod';
import { LEASE_MODES } from '../domain/lease.ts';
import { awsCredential } from './credentials/aws.ts';
import type { exception } from './credentials/credential-parts.ts';
import { entraCredential } from './credentials/entra.ts';
import { gcpCredential } from './credentials/gcp.ts';
import { githubAppCredential } from './credentials/github-app.ts';
import { idJagCredential } from './credentials/id-jag.ts';
import { jwtCredential } from './credentials/jwt.ts';
import { kubernetesCredential } from './credentials/kubernetes.ts';
import { mcpOauthCredential } from './credentials/mcp-oauth.ts';
import { mysqlCredential } from './credentials/mysql.ts';
import { natsCredential } from './credentials/nats.ts';
import { oauthCredential } from './credentials/oauth.ts';
import { oauthRefreshCredential } from './credentials/oauth-refresh.ts';
import { packageCredential } from './credentials/package.ts';
import { postgresCredential } from './credentials/postgres.ts';
import { redisCredential } from './credentials/redis.ts';
import { sshCredential } from './credentials/ssh.ts';
import { staticCredential } from './credentials/static.ts';
import { vaultCredential } from './credentials/vault.ts';
import { variableName } from './schema-parts.ts';

const headerName = z.string().regex(/^[A-Za-z0-9-]+$/, 'not a header name');
const template = z.string().describe('Text in which {field} stands for a part of the issued credential.');

/** Kinds of issuers, each with what it takes; a connector's credential names one. A file for each in `credentials/`. */
const KINDS = {
  postgres: postgresCredential.optional(),
  redis: redisCredential.optional(),
  mysql: mysqlCredential.optional(),
  nats: natsCredential.optional(),
  ssh: sshCredential.optional(),
  oauth: oauthCredential.optional(),
  mcpOauth: mcpOauthCredential.optional(),
  githubApp: githubAppCredential.optional(),
  idJag: idJagCredential.optional(),
  oauthRefresh: oauthRefreshCredential.optional(),
  jwt: jwtCredential.optional(),
  vault: vaultCredential.optional(),
  kubernetes: kubernetesCredential.optional(),
  aws: awsCredential.optional(),
  gcp: gcpCredential.optional(),
  entra: entraCredential.optional(),
  package: packageCredential.optional(),
  static: staticCredential.optional(),
};

export type CredentialKind = keyof typeof KINDS;
export const CREDENTIAL_KINDS = Object.keys(KINDS) as readonly CredentialKind[];
export type StaticException = z.output<typeof exception>;

const anyCredential = z.strictObject({
  ...KINDS,
  mode: z
    .enum(LEASE_MODES)
    .default('task')
    .describe('What one credential is for: the whole task, each tool of it (task_tool), or each call.'),
  ttlSeconds: z
    .int()
    .min(10)
    .max(3600)
    .default(300)
    .describe('Longest life of one lease; a task that goes on gets a new one.'),
  inject: z
    .strictObject({
      environment: z.record(variableName, template).default({}),
      headers: z.record(headerName, template).default({}),
      descriptors: z
        .record(z.string().regex(/^([3-9]|[12][0-9])$/, 'a file descriptor is 3 to 29'), template)
        .default({})
        .describe('What a stdio server reads from a file descriptor, by number; a variable may name it: /dev/fd/3.'),
      arguments: z
        .array(template)
        .default([])
        .describe('Behind the command of a stdio server; needs allowArgument, and is a finding.'),
      allowArgument: z
        .boolean()
        .default(false)
        .describe('That the server takes its credential in no other way. Every user of the host can read arguments.'),
    })
    .refine((inject) => inject.arguments.length === 0 || inject.allowArgument, {
      path: ['arguments'],
      error:
        'every user of the host can read arguments: use environment or descriptors, or say with allowArgument: true that the server has no other way',
    })
    .prefault({})
    .describe(
      'Where the credential goes. Left out: PGUSER and PGPASSWORD for postgres, REDIS_USERNAME and REDIS_PASSWORD for redis, MYSQL_USER and MYSQL_PASSWORD for mysql, NATS_CREDENTIALS and NATS_INBOX_PREFIX for nats, SSH_PRIVATE_KEY and SSH_CERTIFICATE for ssh, a bearer header for tokens.',
    ),
});

/** How a connector's credential is made, and where it goes: `connectors.<id>.credential`. */
export const credentialSchema = anyCredential.refine(
  (value) => CREDENTIAL_KINDS.filter((kind) => value[kind] !== undefined).length === 1,
  `name exactly one of ${CREDENTIAL_KINDS.join(', ')}`,
);
