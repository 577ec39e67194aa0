import { z } from 'zod';
import { authorityFile, serviceUrl } from './credentials/credential-parts.ts';
import { allowPrivateNetwork, keyName, variableName } from './schema-parts.ts';

const fileName = z.string().min(1);

/**
 * The key that wraps data keys. Whoever holds it is asked before the vault is open: so what Remit shows there is never one of the vault's
 * secrets, but in a file or in the environment.
 */
export const vaultKeySchema = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({
      kind: z.literal('file'),
      path: fileName.optional(),
      name: keyName.default('kek-1').describe('Another name for another key.'),
    }),
    z.strictObject({ kind: z.literal('environment'), variable: variableName }),
    z.strictObject({
      kind: z.literal('keyring'),
      service: z.string().min(1).max(64).default('remit'),
      account: keyName.default('kek-1').describe('Another name for another key.'),
      linuxStore: z
        .enum(['secret-service', 'keyutils'])
        .default('secret-service')
        .describe('keyutils: the kernel’s keyring, which a restart of the machine empties.'),
    }),
    z.strictObject({
      kind: z.literal('awsKms'),
      key: z
        .string()
        .regex(
          /^(arn:[a-z-]+:kms:[a-z0-9-]+:\d{12}:key\/)?[A-Za-z0-9-]{1,64}$/,
          'the id or ARN of a key, and no alias',
        ),
      region: z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'not a region, for example eu-west-1'),
      endpoint: serviceUrl.optional().describe('Left out: the region’s own.'),
      accessKeyIdVariable: variableName.default('AWS_ACCESS_KEY_ID'),
      secretAccessKeyVariable: variableName.default('AWS_SECRET_ACCESS_KEY'),
      sessionTokenVariable: variableName.default('AWS_SESSION_TOKEN').describe('May be unset.'),
      allowPrivateNetwork,
    }),
    z.strictObject({
      kind: z.literal('gcpKms'),
      key: z
        .string()
        .regex(
          /^projects\/[^/]+\/locations\/[^/]+\/keyRings\/[^/]+\/cryptoKeys\/[^/:]+$/,
          'the resource name of a key',
        ),
      keyFile: fileName.describe('JSON of a service account’s key.'),
      endpoint: serviceUrl.optional(),
      tokenEndpoint: serviceUrl.optional(),
      allowPrivateNetwork,
    }),
    z
      .strictObject({
        kind: z.literal('transit'),
        address: serviceUrl.describe('Of a Vault or OpenBao.'),
        namespace: z.string().min(1).max(256).optional(),
        mount: z.string().min(1).default('transit'),
        key: keyName,
        derived: z.boolean().default(false).describe('Whether the key was made with derived=true.'),
        tokenFile: fileName.optional().describe('File with a token, read at each login: an agent’s sink.'),
        tokenVariable: variableName.optional().describe('Environment variable with one.'),
        allowPrivateNetwork,
        caFile: authorityFile,
      })
      .refine(({ tokenFile, tokenVariable }) => (tokenFile === undefined) !== (tokenVariable === undefined), {
        error: 'name a tokenFile or a tokenVariable',
      }),
  ],
  { error: 'kind is file, environment, keyring, awsKms, gcpKms or transit' },
);
