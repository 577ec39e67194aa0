import { z } from 'zod';
import { allowPrivateNetwork, secretName } from '../schema-parts.ts';
import { introspected, longestTokenSeconds, revokeTokens, scopeList, scopesByClass } from './credential-parts.ts';

export const oauthRefreshCredential = z
  .strictObject({
    server: z.url({ protocol: /^https?$/ }).describe('Issuer identifier of the authorization server.'),
    allowPrivateNetwork,
    clientId: z.string().min(1).describe('Remit, as that server knows it.'),
    clientSecret: secretName.optional().describe('Name of the vault secret with its secret.'),
    clientMethod: z
      .enum(['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'])
      .optional()
      .describe(
        'How the client shows who it is; left out: client_secret_basic with a clientSecret, none without. private_key_jwt is with the key of the gateway’s key set.',
      ),
    refreshToken: secretName
      .optional()
      .describe(
        'Name of the vault secret with the refresh token that the owner stored; left out: the owner runs `remit connector authorize`.',
      ),
    resource: z.url().optional().describe('Whom the tokens are for, as a URL (RFC 8707), where the server knows that.'),
    scopes: scopesByClass.describe('Scopes by action class. A class that is not named opens nothing.'),
    resources: z
      .record(z.string().min(1), scopeList)
      .optional()
      .describe('Scopes by resource, as for oauth. What is asked for has to be in both.'),
    tokenSeconds: longestTokenSeconds,
    introspected,
    revokeTokens,
  })
  .refine(
    ({ clientSecret, clientMethod }) =>
      (clientMethod ?? 'client_secret_').startsWith('client_secret_') || clientSecret === undefined,
    {
      path: ['clientSecret'],
      error: 'this clientMethod has none',
    },
  )
  .refine(
    ({ clientSecret, clientMethod }) =>
      !(clientMethod ?? '').startsWith('client_secret_') || clientSecret !== undefined,
    {
      path: ['clientSecret'],
      error: 'this clientMethod needs one',
    },
  )
  .describe(
    'An access token per lease, refreshed from a refresh token that an owner stored, or gave in a browser; narrowed to the task.',
  );
