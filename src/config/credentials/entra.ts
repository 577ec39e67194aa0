import { z } from 'zod';
import { ACTION_CLASSES } from '../../domain/tool.ts';
import { allowPrivateNetwork, secretName } from '../schema-parts.ts';
import { resourcePatterns, serviceUrl } from './credential-parts.ts';

const scope = z.string().regex(/^\S+\/\.default$/, 'an app asks for <resource>/.default');

export const entraCredential = z
  .strictObject({
    directory: z.string().regex(/^[A-Za-z0-9.-]+$/, 'not the id of a directory, nor one of its domains'),
    clientId: z.string().min(1),
    certificate: secretName.describe(
      'Name of the vault secret with the app’s certificate and private key (PEM, PKCS#8).',
    ),
    scopes: z
      .array(
        z.strictObject({
          scope,
          classes: z
            .array(z.enum(ACTION_CLASSES))
            .min(1)
            .describe('Action classes that the app’s permissions there have.'),
          resources: resourcePatterns,
        }),
      )
      .min(1)
      .describe('Tried in order; the first that has all of the task’s classes and resources is asked for.'),
    discoveryScope: scope
      .optional()
      .describe('For the gateway’s own listing, where the server needs a credential for it.'),
    tokenSeconds: z
      .int()
      .min(600)
      .max(86_400)
      .default(5_400)
      .describe(
        'Longest life of the directory’s access tokens: 60 to 90 minutes, unless a policy there says otherwise.',
      ),
    authority: serviceUrl.default('https://login.microsoftonline.com').describe('Another for a national cloud.'),
    allowPrivateNetwork,
  })
  .describe('An app’s token of Microsoft Entra per lease, for one API. It cannot be revoked.');
