import { z } from 'zod';
import { allowPrivateNetwork, secretName } from '../schema-parts.ts';
import { scopeList, scopesByClass } from './credential-parts.ts';

/** Remit at one authorization server. */
const client = {
  server: z.url({ protocol: /^https?$/ }).describe('Issuer identifier.'),
  allowPrivateNetwork,
  clientId: z.string().min(1).describe('Remit, as it is known there.'),
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
};
const isOneWay = ({ clientSecret, clientKey }: { clientSecret?: string | undefined; clientKey?: string | undefined }) =>
  clientSecret === undefined || clientKey === undefined;
const oneWay = { path: ['clientKey'], error: 'a client has a secret or a key' };

export const idJagCredential = z
  .strictObject({
    idp: z
      .strictObject(client)
      .refine(isOneWay, oneWay)
      .describe(
        'The identity provider that vouches for the user, and that the resource’s authorization server trusts.',
      ),
    ...client,
    resource: z.url().optional().describe('Whom the token is for, as a URL (RFC 8707).'),
    scopes: scopesByClass.describe('Scopes by action class. A class that is not named opens nothing.'),
    resources: z
      .record(z.string().min(1), scopeList)
      .optional()
      .describe('Scopes by resource, as for oauth. What is asked for has to be in both.'),
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
  .refine(isOneWay, oneWay)
  .describe(
    'A token on a user’s behalf of an authorization server that trusts the company’s identity provider (identity assertion authorization grant, ID-JAG).',
  );
