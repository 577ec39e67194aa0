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

/** Remit at one authorization server. */
const client = {
  server: z.url({ protocol: /^https?$/ }).describe('Issuer identifier.'),
  allowPrivateNetwork,
  clientId: z.string().min(1).describe('Remit, as it is known there.'),
  ...clientProofs,
};

export const idJagCredential = z
  .strictObject({
    idp: z
      .strictObject(client)
      .refine(isOneProof, oneProof)
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
    tokenSeconds: shortestTokenSeconds,
    introspected,
  })
  .refine(isOneProof, oneProof)
  .describe(
    'A token on a user’s behalf of an authorization server that trusts the company’s identity provider (identity assertion authorization grant, ID-JAG).',
  );
