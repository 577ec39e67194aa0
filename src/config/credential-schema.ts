import { z } from 'zod';
import { LEASE_MODES } from '../domain/lease.ts';
import { ACTION_CLASSES } from '../domain/tool.ts';
import { allowPrivateNetwork, owner, secretName, variableName } from './schema-parts.ts';

const headerName = z.string().regex(/^[A-Za-z0-9-]+$/, 'not a header name');
const template = z.string().describe('Text in which {field} stands for a part of the issued credential.');

const exception = z
  .strictObject({
    owner,
    reason: z.string().min(1),
    expires: z.iso.datetime({ offset: true }).describe('RFC 3339. From then on the credential is refused.'),
    controls: z
      .strictObject({
        tools: z
          .array(
            z
              .string()
              .min(1)
              .refine((name) => name !== '*', 'name each tool'),
          )
          .min(1)
          .describe('What it may be used for: tools by name, prompt:name, resource:pattern. Templates name no others.'),
        callsPerMinute: z.int().min(1).max(1_000_000).describe('Of all tasks together, at this gateway.'),
        callsPerMinutePerTask: z.int().min(1).max(1_000_000),
      })
      .describe('What makes up for it. That each task has its own identity, and fuller records, come on their own.'),
  })
  .describe('Who answers for a credential that cannot be revoked, why, until when, and what makes up for it.');

const postgresCredential = z
  .strictObject({
    host: z.string().default('127.0.0.1'),
    port: z.int().min(1).max(65_535).default(5432),
    database: z.string().min(1),
    adminUser: z.string().min(1).describe('A role that may create roles and grant on the named tables.'),
    adminPassword: secretName
      .optional()
      .describe('Name of the vault secret with its password; left out for trust or peer.'),
    tls: z.boolean().default(false),
  })
  .describe('A PostgreSQL role per lease, with rights on the tables that the task names and nothing else.');

const redisCredential = z
  .strictObject({
    host: z.string().default('127.0.0.1'),
    port: z.int().min(1).max(65_535).default(6379),
    database: z.int().min(0).max(1_000).default(0).describe('The one database that a leased user may select.'),
    adminUser: z.string().min(1).default('default').describe('An ACL user that may run ACL SETUSER and ACL DELUSER.'),
    adminPassword: secretName
      .optional()
      .describe('Name of the vault secret with its password; left out for a user without one.'),
    tls: z.boolean().default(false),
    saveUsers: z
      .boolean()
      .default(false)
      .describe('Runs ACL SAVE after each revoke: for a server that keeps users in a file, and saves them.'),
  })
  .describe('A Redis ACL user per lease (Redis 7 or later), bound to the keys that the task names.');

const staticCredential = z
  .strictObject({ secret: secretName, exception })
  .describe('A long-lived secret out of the vault: allowed only under an exception, and shown as one.');

const scopeList = z.array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'not a scope (RFC 6749 section 3.3)'));
const scopesByClass = z.partialRecord(z.enum(ACTION_CLASSES), scopeList);

const oauthCredential = z
  .strictObject({
    server: z.url({ protocol: /^https?$/ }).describe('Issuer identifier of the authorization server.'),
    allowPrivateNetwork,
    clientId: z.string().min(1).describe('Remit, as that server knows it.'),
    clientSecret: secretName
      .optional()
      .describe(
        'Name of the vault secret with its secret; left out: private_key_jwt with a key of the gateway’s key set.',
      ),
    clientKey: secretName
      .optional()
      .describe(
        'Name of the vault secret with a private key of the client’s own (PKCS#8, PEM, ES256), for private_key_jwt.',
      ),
    grant: z
      .enum(['token_exchange', 'client_credentials'])
      .default('token_exchange')
      .describe('token_exchange: an assertion about agent, user and task is exchanged (RFC 8693).'),
    audience: z.string().min(1).optional().describe('Whom the token is for, as the server names it (RFC 8693).'),
    resource: z.url().optional().describe('Whom the token is for, as a URL (RFC 8707).'),
    scopes: scopesByClass.describe('Scopes by action class. A class that is not named opens nothing.'),
    resources: z
      .record(z.string().min(1), scopeList)
      .optional()
      .describe('Scopes by resource, * at the end for all that start so. What is asked for has to be in both.'),
    tokenSeconds: z
      .int()
      .min(0)
      .max(3600)
      .default(0)
      .describe('Shortest life of its tokens, where they can be no shorter; 0: as short as the lease.'),
    introspected: z
      .boolean()
      .default(false)
      .describe(
        'Whether the connector asks the server about a token at each use. Otherwise revoking does not reach it.',
      ),
  })
  .refine(({ clientSecret, clientKey }) => clientSecret === undefined || clientKey === undefined, {
    path: ['clientKey'],
    error: 'a client has a secret or a key',
  })
  .describe('A token of another authorization server per lease, narrowed to the task.');

const jwtCredential = z
  .strictObject({
    audience: z.string().min(1).optional().describe('`aud`; left out: the URL of the connector.'),
    scopes: scopesByClass.default({}).describe('`scope` by action class. A class that is not named stands for itself.'),
  })
  .describe('A JWT that the gateway signs for a server that can verify one.');

const mcpOauthCredential = z
  .strictObject({
    server: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('Issuer to authorise at; left out: the first that the connector’s server names. Any other is refused.'),
    clientId: z
      .string()
      .min(1)
      .optional()
      .describe('Remit, as it was registered there by hand; left out: it registers itself.'),
    clientSecret: secretName.optional().describe('Name of the vault secret with the secret of clientId.'),
    clientMetadataUrl: z
      .url({ protocol: /^https$/ })
      .optional()
      .describe(
        'Where a client id metadata document says who Remit is; left out: the gateway’s own, where publicUrl is https.',
      ),
    scopes: scopesByClass
      .optional()
      .describe(
        'Scopes by action class: asked for, and what a lease is narrowed to. Left out: what the server asks for.',
      ),
    resources: z
      .record(z.string().min(1), scopeList)
      .optional()
      .describe('Scopes by resource, as for oauth; needs scopes.'),
    tokenSeconds: z
      .int()
      .min(1)
      .max(86_400)
      .default(3600)
      .describe('Longest life of its access tokens. A lease lapses as long, where it cannot be revoked.'),
    introspected: z
      .boolean()
      .default(false)
      .describe(
        'Whether the connector asks the server about a token at each use. Otherwise revoking does not reach it.',
      ),
    revokeTokens: z
      .boolean()
      .default(true)
      .describe('false for a server that takes revoking one access token for revoking the whole authorization.'),
    sharedToken: z
      .strictObject({ owner, reason: z.string().min(1), expires: z.iso.datetime({ offset: true }) })
      .optional()
      .describe('Exception for a server that gives no refresh token: one access token for all leases, until it ends.'),
  })
  .refine(({ clientId, clientSecret }) => clientSecret === undefined || clientId !== undefined, {
    path: ['clientSecret'],
    error: 'name the clientId that it belongs to',
  })
  .refine(({ scopes, resources }) => resources === undefined || scopes !== undefined, {
    path: ['resources'],
    error: 'name scopes by action class as well',
  })
  .describe(
    'An access token per lease, of a server that wants OAuth, once its owner has run `remit connector authorize`.',
  );

/** Kinds of issuers; a connector's credential names one. */
export const CREDENTIAL_KINDS = ['postgres', 'redis', 'oauth', 'mcpOauth', 'jwt', 'static'] as const;
export type StaticException = z.output<typeof exception>;
export type CredentialKind = (typeof CREDENTIAL_KINDS)[number];

const anyCredential = z.strictObject({
  postgres: postgresCredential.optional(),
  redis: redisCredential.optional(),
  oauth: oauthCredential.optional(),
  mcpOauth: mcpOauthCredential.optional(),
  jwt: jwtCredential.optional(),
  static: staticCredential.optional(),
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
      'Where the credential goes. Left out: PGUSER and PGPASSWORD for postgres, REDIS_USERNAME and REDIS_PASSWORD for redis, a bearer header for tokens.',
    ),
});

/** How a connector's credential is made, and where it goes: `connectors.<id>.credential`. */
export const credentialSchema = anyCredential.refine(
  (value) => CREDENTIAL_KINDS.filter((kind) => value[kind] !== undefined).length === 1,
  `name exactly one of ${CREDENTIAL_KINDS.join(', ')}`,
);
