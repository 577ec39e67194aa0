import { z } from 'zod';
import { ACTION_CLASSES } from '../../domain/tool.ts';
import { allowPrivateNetwork, secretName } from '../schema-parts.ts';
import { resourcePatterns, serviceUrl } from './credential-parts.ts';

const rule = z.strictObject({
  classes: z.array(z.enum(ACTION_CLASSES)).min(1).describe('Action classes that it is for; one in the task is enough.'),
  bucket: z.string().regex(/^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/, 'not the name of a bucket'),
  roles: z
    .array(z.string().regex(/^(roles|projects\/[^/]+\/roles|organizations\/[^/]+\/roles)\/.+$/, 'not a role'))
    .min(1)
    .describe('Upper bound on what the service account may do: roles/storage.objectViewer.'),
  objects: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Name of an object; {resource} stands for each of the task’s resources, * at the end for all that start so. Left out: the whole bucket.',
    ),
  for: resourcePatterns,
});

export const gcpCredential = z
  .strictObject({
    key: secretName.describe('Name of the vault secret with a service account’s key: its JSON.'),
    impersonate: z
      .email()
      .optional()
      .describe(
        'Service account whose tokens are given instead: as short as the lease, where the key’s own last an hour.',
      ),
    rules: z
      .array(rule)
      .min(1)
      .describe('What a token opens, within the service account’s rights: Cloud Storage alone.'),
    endpoints: z
      .strictObject({ token: serviceUrl.optional(), sts: serviceUrl.optional(), iamCredentials: serviceUrl.optional() })
      .prefault({})
      .describe('Instead of Google’s own.'),
    allowPrivateNetwork,
  })
  .describe('A downscoped Google access token per lease, with a boundary of the task’s objects. It cannot be revoked.');
