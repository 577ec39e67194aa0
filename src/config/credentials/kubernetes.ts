import { z } from 'zod';
import { ACTION_CLASSES } from '../../domain/tool.ts';
import { allowPrivateNetwork, secretName } from '../schema-parts.ts';
import { authorityFile, resourcePatterns, serviceUrl } from './credential-parts.ts';

const dnsName = z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, 'not a name in Kubernetes');

export const kubernetesCredential = z
  .strictObject({
    server: serviceUrl.describe('Of the API server.'),
    allowPrivateNetwork,
    caFile: authorityFile,
    token: secretName.optional().describe('Name of the vault secret with Remit’s own token there.'),
    tokenFile: z
      .string()
      .min(1)
      .optional()
      .describe('File with it, read at each use: where Remit runs in the cluster, a projected token.'),
    namespace: dnsName.describe('Of the service accounts, and of the Secrets that tokens are bound to.'),
    serviceAccounts: z
      .array(
        z.strictObject({
          serviceAccount: dnsName,
          classes: z.array(z.enum(ACTION_CLASSES)).min(1).describe('Action classes that it has the rights for.'),
          resources: resourcePatterns,
        }),
      )
      .min(1)
      .describe('Tried in order; the first that has all of the task’s classes and resources is used.'),
    discoveryServiceAccount: dnsName
      .optional()
      .describe('For the gateway’s own listing, where the server needs a credential for it: one without any role.'),
    audiences: z.array(z.string().min(1)).default([]).describe('`aud`; left out: the API server itself.'),
    reviewed: z
      .boolean()
      .default(false)
      .describe(
        'Whether those audiences ask the API server about a token at each use. Otherwise revoking does not reach them.',
      ),
  })
  .refine(({ token, tokenFile }) => (token === undefined) !== (tokenFile === undefined), {
    error: 'name a token or a tokenFile',
  })
  .describe('A token of a Kubernetes service account per lease, bound to a Secret that is deleted with it.');
