import { z } from 'zod';
import { allowPrivateNetwork } from '../schema-parts.ts';
import {
  clientProofs,
  introspected,
  isOneProof,
  oneProof,
  scopeList,
  scopesByClass,
  shortestTokenSeconds,
} from './credential-parts.ts';

export const oauthCredential = z
  .strictObject({
    server: z.url({ protocol: /^https?$/ }).describe('Issuer identifier of the authorization server.'),
    allowPrivateNetwork,
    clientId: z.string().min(1).describe('Remit, as that server knows it.'),
    ...clientProofs,
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
    tokenSeconds: shortestTokenSeconds,
    introspected,
  })
  .refine(isOneProof, oneProof)
  .describe('A token of another authorization server per lease, narrowed to the task.');
