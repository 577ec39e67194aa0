import { z } from 'zod';
import { STRICTNESSES } from '../domain/strictness.ts';
import { ACTION_CLASSES, isMisleadingName } from '../domain/tool.ts';
import { findPatternProblem } from '../domain/uri-pattern.ts';
import { approvalSchema } from './approval-schema.ts';
import { credentialSchema } from './credential-schema.ts';
import { flowSchema, profileFlowShape, templateFlowSchema } from './flow-schema.ts';
import { journalSchema } from './journal-schema.ts';
import { observeSchema } from './observe-schema.ts';
import { policySchema } from './policy-schema.ts';
import { resultSchema } from './result-schema.ts';
import { hoursSchema, riskSchema } from './risk-schema.ts';
import { allowPrivateNetwork, owner, secretName, variableName } from './schema-parts.ts';
import { telemetrySchema } from './telemetry-schema.ts';
import { vaultKeySchema } from './vault-key-schema.ts';

/** Shape of `remit.yaml`. Strict: an unknown key is an error. The JSON Schema in `schema/` is generated from this. */

const connectorIdText = z
  .string()
  .regex(/^[a-z][a-z0-9_]{0,30}$/, 'a connector id is 1–31 of a–z, 0–9 and _, starting with a letter');
const agentIdText = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,62}$/, 'an agent id is 1–63 of a–z, 0–9 and -, starting with a letter');
const templateIdText = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,62}$/, 'a template id is 1–63 of a–z, 0–9 and -, starting with a letter');
const toolPattern = z
  .string()
  .regex(
    /^[a-z][a-z0-9_]{0,30}\/.+$/,
    'named connector/tool, connector/resource:pattern, connector/prompt:name, or connector/* for all of it',
  );
const stdioTransport = z
  .strictObject({
    command: z.array(z.string().min(1)).min(1).describe('Program and arguments, whole; no shell. Never a secret.'),
    environment: z.record(variableName, z.string()).default({}).describe('Plain variables. Never a secret.'),
    workingDirectory: z.string().optional(),
    sandbox: z
      .strictObject({
        network: z
          .union([
            z.enum(['none', 'host']),
            z.strictObject({
              allow: z
                .array(z.string().min(1))
                .min(1)
                .describe('host, host:port or *.domain; port 443 if none is named.'),
              allowPrivateNetwork,
            }),
          ])
          .default('none')
          .describe('host: the server may use the network. allow: it reaches what is named, by HTTP proxy.'),
        readOnly: z.array(z.string().min(1)).default([]).describe('Paths that the server may read.'),
        readWrite: z.array(z.string().min(1)).default([]).describe('Paths that the server may read and write.'),
      })
      .optional()
      .describe('What the process may reach besides its own program and an empty folder.'),
    allowInlineCode: z
      .boolean()
      .default(false)
      .describe('Whether the command may hold code for a shell or an interpreter (sh -c, node -e).'),
  })
  .describe('A server that the gateway starts, one process per task.');

const httpTransport = z
  .strictObject({
    url: z.url({ protocol: /^https?$/ }).describe('Streamable HTTP endpoint.'),
    allowPrivateNetwork,
  })
  .describe('A server that is reached over Streamable HTTP.');

const sseTransport = z
  .strictObject({
    url: z.url({ protocol: /^https?$/ }).describe('Endpoint of the event stream.'),
    allowPrivateNetwork,
  })
  .describe('A server of 2024-11-05 that is reached over HTTP with SSE.');

const sharedSecret = z
  .strictObject({
    secrets: z.array(secretName).min(1).describe('Names that may stand for one and the same secret.'),
    connectors: z.array(connectorIdText).default([]).describe('Connectors that may use it.'),
    acrossTenants: z.boolean().default(false).describe('Whether other tenants of the store may have it too.'),
    owner,
    reason: z.string().min(1),
    expires: z.iso.datetime({ offset: true }).describe('RFC 3339. From then on sharing it stops the start.'),
  })
  .describe('Who answers for a secret that is shared, why, and until when.');

const argumentType = z
  .string()
  .regex(
    /^(string|long|boolean|path|string\[\])\??$/,
    'one of string, long, boolean, path, string[]; a trailing ? makes it optional',
  );

const toolProfileSchema = z.strictObject({
  class: z.enum(ACTION_CLASSES),
  dataClasses: z.array(z.string().min(1)).default([]),
  arguments: z.record(z.string().min(1), argumentType).default({}).describe('The arguments that policies may read.'),
  reversible: z.boolean().default(false),
  approvedBy: owner,
  fingerprint: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}$/)
    .optional()
    .describe('The definition that was approved; another one is quarantined.'),
  result: resultSchema.optional(),
  ...profileFlowShape,
});

const uriPattern = z.string().superRefine((text, context) => {
  const problem = findPatternProblem(text);
  if (problem !== undefined) context.addIssue({ code: 'custom', message: `not a URI pattern: ${problem}` });
});

const resourceProfileSchema = toolProfileSchema.refine(
  ({ arguments: args }) => Object.entries(args).every(([name, type]) => name === 'uri' && type === 'string'),
  { path: ['arguments'], error: 'of a resource policies may read `uri`, a string, always: leave this out' },
);
const promptProfileSchema = toolProfileSchema.refine(
  ({ arguments: args }) => Object.values(args).every((type) => /^(string|path)\??$/.test(type)),
  { path: ['arguments'], error: 'arguments of a prompt are texts: string or path' },
);

const connector = z.strictObject({
  owner,
  environment: z.string().min(1).optional(),
  zone: z.string().min(1).default('internal'),
  transport: z.union(
    [
      z.strictObject({ stdio: stdioTransport }),
      z.strictObject({ http: httpTransport }),
      z.strictObject({ sse: sseTransport }),
    ],
    { error: 'name exactly one of stdio, http, sse' },
  ),
  protocol: z
    .enum(['auto', 'legacy', 'modern'])
    .default('auto')
    .describe('Era to speak with the server: legacy up to 2025-11-25, modern from 2026-07-28; auto finds out.'),
  clientFeatures: z
    .array(z.enum(['elicitation', 'sampling', 'roots']))
    .default(['elicitation'])
    .describe('What the server may ask clients for. Nothing else reaches them.'),
  credential: credentialSchema.optional(),
  timeoutSeconds: z.number().positive().max(600).default(60).describe('Longest wait for one reply.'),
  reviewed: z
    .strictObject({
      by: owner,
      at: z.iso.datetime({ offset: true }).describe('RFC 3339.'),
      reach: z
        .string()
        .regex(/^sha256:[0-9a-f]{64}$/)
        .describe('What was reachable through it then.'),
    })
    .optional()
    .describe('Who has seen all that is reachable through it; `remit connector review` writes it.'),
  tools: z
    .record(
      z
        .string()
        .min(1)
        .refine((name) => !isMisleadingName(name), 'a tool’s name cannot begin with resource: or prompt:'),
      toolProfileSchema,
    )
    .default({})
    .describe('Approved profiles. A tool without one is not callable.'),
  resources: z
    .record(uriPattern, resourceProfileSchema)
    .default({})
    .describe(
      'Approved profiles by URI pattern: * within a segment, ** for anything. What no pattern covers is not readable.',
    ),
  prompts: z
    .record(z.string().min(1), promptProfileSchema)
    .default({})
    .describe('Approved profiles. A prompt without one is not gettable.'),
});

const agent = z.strictObject({
  owner,
  environment: z.string().min(1).optional(),
  zone: z.string().min(1).default('internal'),
  publicKeys: z
    .string()
    .min(1)
    .describe('Path of a JWKS file with the public keys of the agent; `remit agent keygen` writes one.'),
  hours: hoursSchema.optional(),
});

const taskTemplate = z.strictObject({
  owner,
  purpose: z.string().min(1),
  agents: z.array(agentIdText).min(1),
  classes: z.array(z.enum(ACTION_CLASSES)).min(1),
  tools: z.array(toolPattern).min(1),
  resources: z
    .array(
      z
        .string()
        .regex(/^[a-z][a-z0-9_]{0,30}:.+$/, 'a resource is named connector:path, for example shop_db:public.orders'),
    )
    .default([]),
  calls: z.int().min(1).max(1_000_000).default(100).describe('Call budget of one task.'),
  maxDurationSeconds: z.int().min(1).max(86_400).default(3600),
  requiresUser: z.boolean().default(false).describe('Tasks need a verified user.'),
  limits: z
    .strictObject({
      callsPerMinute: z.int().min(1).max(100_000).optional().describe('Calls of one item by one task.'),
      readBytes: z.int().min(1).optional().describe('Bytes of results that one task may read.'),
      sentBytes: z.int().min(1).optional().describe('Bytes of arguments that one task may send outside.'),
    })
    .optional()
    .describe('How fast a task with its children may go, and how much may pass through it.'),
  children: z
    .strictObject({
      depth: z.int().min(1).max(8).default(1).describe('How deep children may have children.'),
      perTask: z.int().min(1).max(100).default(4).describe('Children that one task may have at a time.'),
    })
    .optional()
    .describe('How far tasks may branch. Left out: they have no children.'),
  flow: templateFlowSchema.optional(),
});

const identityProvider = z.strictObject({
  issuer: z.url({ protocol: /^https?$/ }),
  audience: z.string().min(1).describe('`aud` that a user token must carry: this gateway, as the provider knows it.'),
  jwksUri: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('Left out: found through the provider’s metadata.'),
  groupsClaim: z.string().default('groups'),
  allowPrivateNetwork,
});

export const configSchema = z.strictObject({
  version: z.literal(1),
  tenant: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,62}$/)
    .default('default'),
  environment: z.string().min(1).default('dev'),
  listen: z
    .strictObject({
      host: z.string().default('127.0.0.1'),
      port: z.int().min(0).max(65_535).default(7420).describe('0 takes a free one.'),
    })
    .prefault({}),
  publicUrl: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('How clients reach the gateway, where that differs from `listen`.'),
  data: z.string().min(1).default('.remit').describe('Folder for the store, the journal and the vault key.'),
  store: z
    .discriminatedUnion(
      'kind',
      [
        z.strictObject({ kind: z.literal('sqlite') }),
        z.strictObject({
          kind: z.literal('postgres'),
          urlVariable: variableName.describe('Environment variable with the URL.'),
          connections: z
            .int()
            .min(2)
            .max(200)
            .default(10)
            .describe('Most connections of one gateway; it has one more to hear notices on.'),
        }),
      ],
      { error: 'kind is sqlite or postgres' },
    )
    .prefault({ kind: 'sqlite' }),
  node: z
    .strictObject({
      address: z
        .url({ protocol: /^https?$/ })
        .optional()
        .describe('How other gateways on the same store reach this one; left out: by what it listens on.'),
      addressVariable: variableName
        .optional()
        .describe('Environment variable with it, where one configuration is for several nodes.'),
    })
    .prefault({})
    .describe('This gateway among those of one PostgreSQL store.'),
  vaultKey: vaultKeySchema.prefault({ kind: 'file' }).describe('The key that wraps what is sealed from now on.'),
  formerVaultKeys: z
    .array(vaultKeySchema)
    .default([])
    .describe('Keys that rows may still be wrapped under: only while `remit keys rotate-kek` is under way.'),
  sharedSecrets: z
    .array(sharedSecret)
    .default([])
    .describe('Exceptions: a secret that is registered twice, or used by several connectors, is refused otherwise.'),
  policies: z.string().min(1).default('policies').describe('Folder of *.cedar files, and *.cases.yaml that try them.'),
  strictness: z
    .enum(STRICTNESSES)
    .optional()
    .describe('How strict this estate is meant to be; production and regulated refuse `observe`.'),
  observe: observeSchema.describe('Policies that are only observed for a while. Refused in production.'),
  policyReload: z
    .enum(['manual', 'watch'])
    .default('manual')
    .describe('manual: by `remit policy reload`; watch: when the folder has changed, too.'),
  policy: policySchema.prefault({}).describe('Decisions from outside, and for others.'),
  tokenSeconds: z.int().min(30).max(600).default(600).describe('Life of one task token.'),
  sessions: z
    .strictObject({
      idleSeconds: z.int().min(1).max(86_400).default(1800).describe('An unused session ends after this time.'),
      perTask: z.int().min(1).max(10_000).default(32),
      perAgent: z.int().min(1).max(100_000).default(256),
      max: z.int().min(1).max(1_000_000).default(10_000),
    })
    .prefault({})
    .describe('Bounds on the sessions of legacy clients.'),
  deviations: z
    .strictObject({
      limit: z
        .int()
        .min(1)
        .max(1_000)
        .default(5)
        .describe('Calls outside of what a task declared, until it is held back.'),
      consequence: z.enum(['suspend', 'revoke']).default('suspend'),
    })
    .prefault({})
    .describe('What becomes of a task that does what it was not declared for.'),
  limits: z
    .strictObject({
      callsPerAgent: z.int().min(1).max(100_000).default(256).describe('Calls of one agent that may be under way.'),
      connections: z.int().min(1).max(100_000).default(256).describe('Connections to connectors, processes included.'),
      streamsPerTask: z.int().min(1).max(1_000).default(16).describe('Open streams of one task.'),
    })
    .prefault({})
    .describe('Bounds on what is under way.'),
  flow: flowSchema.prefault({}),
  prompts: z
    .enum(['digest', 'text', 'off'])
    .default('digest')
    .describe('What is kept of the prompts that clients name: digests, sealed texts, or nothing.'),
  auditors: z
    .record(
      agentIdText,
      z.strictObject({ publicKey: z.string().min(1).describe('Path of the file that `remit auditor keygen` wrote.') }),
    )
    .default({})
    .describe('Who alone may read sealed content. Left out: whoever has the vault key.'),
  approvals: approvalSchema.prefault({}).describe('Who approves calls that policies hold.'),
  risk: riskSchema.prefault({}).describe('How risk is reckoned, and what follows from it.'),
  telemetry: telemetrySchema.prefault({}).describe('What is told to operators’ systems; nothing unless configured.'),
  journal: journalSchema.prefault({}),
  identityProviders: z.array(identityProvider).default([]),
  agents: z.record(agentIdText, agent).default({}),
  connectors: z.record(connectorIdText, connector).default({}),
  templates: z.record(templateIdText, taskTemplate).default({}),
});

export type Config = z.output<typeof configSchema>;
export type VaultKeyConfig = Config['vaultKey'];
export type SharedSecretConfig = Config['sharedSecrets'][number];
export type ConnectorConfig = Config['connectors'][string];
export type ToolProfileConfig = z.output<typeof toolProfileSchema>;
