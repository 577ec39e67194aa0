import { z } from 'zod';
import { allowPrivateNetwork, secretName } from '../schema-parts.ts';
import { scopeList, scopesByClass } from './credential-parts.ts';

export const oauthCredential = z
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
