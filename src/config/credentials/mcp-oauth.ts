import { z } from 'zod';
import { owner, secretName } from '../schema-parts.ts';
import { introspected, longestTokenSeconds, revokeTokens, scopeList, scopesByClass } from './credential-parts.ts';

export const mcpOauthCredential = z
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
    tokenSeconds: longestTokenSeconds,
    introspected,
    revokeTokens,
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
