import { z } from 'zod';
import { ACTION_CLASSES } from '../../domain/tool.ts';
import { owner, secretName } from '../schema-parts.ts';

/** Shapes that several kinds of credentials share. */

export const scopeList = z.array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'not a scope (RFC 6749 section 3.3)'));
export const scopesByClass = z.partialRecord(z.enum(ACTION_CLASSES), scopeList);

export const exception = z
  .strictObject({
    owner,
    reason: z.string().min(1),
    expires: z.iso.datetime({ offset: true }).describe('RFC 3339. From then on the credential is refused.'),
    controls: z
      .strictObject({
        tools: z
          .array(
            z
              .string()
              .min(1)
              .refine((name) => name !== '*', 'name each tool'),
          )
          .min(1)
          .describe('What it may be used for: tools by name, prompt:name, resource:pattern. Templates name no others.'),
        callsPerMinute: z.int().min(1).max(1_000_000).describe('Of all tasks together, at all gateways of the store.'),
        callsPerMinutePerTask: z.int().min(1).max(1_000_000),
      })
      .describe('What makes up for it. That each task has its own identity, and fuller records, come on their own.'),
  })
  .describe('Who answers for a credential that cannot be revoked, why, until when, and what makes up for it.');

/** Of a service that issuers ask over HTTP. */
export const serviceUrl = z.url({ protocol: /^https?$/ });
export const authorityFile = z
  .string()
  .min(1)
  .optional()
  .describe('File with the certificates (PEM) that it is verified against; left out: those that Node knows.');
export const resourcePatterns = z
  .array(z.string().min(1))
  .min(1)
  .optional()
  .describe('Resources that it reaches, * at the end for all that start so; left out: resources do not narrow.');

/** Of a token of an authorization server. */
export const introspected = z
  .boolean()
  .default(false)
  .describe('Whether the connector asks the server about a token at each use. Otherwise revoking does not reach it.');
export const shortestTokenSeconds = z
  .int()
  .min(0)
  .max(3600)
  .default(0)
  .describe('Shortest life of its tokens, where they can be no shorter; 0: as short as the lease.');
export const longestTokenSeconds = z
  .int()
  .min(1)
  .max(86_400)
  .default(3600)
  .describe('Longest life of its access tokens. A lease lapses as long, where it cannot be revoked.');
export const revokeTokens = z
  .boolean()
  .default(true)
  .describe('false for a server that takes revoking one access token for revoking the whole authorization.');

/** How Remit shows an authorization server who it is. At most one: `isOneProof`. */
export const clientProofs = {
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

interface ClientProof {
  readonly clientSecret?: string | undefined;
  readonly clientKey?: string | undefined;
}

/** For `refine`: a client proves who it is in one way. */
export const isOneProof = ({ clientSecret, clientKey }: ClientProof): boolean =>
  clientSecret === undefined || clientKey === undefined;
export const oneProof = { path: ['clientKey'], error: 'a client has a secret or a key' };
