import { z } from 'zod';
import { secretName } from '../schema-parts.ts';

export const packageCredential = z
  .strictObject({
    module: z
      .string()
      .min(1)
      .describe('What is loaded: a package’s name, or a file (./…). It runs within the gateway, with all its rights.'),
    settings: z.record(z.string(), z.json()).default({}).describe('Whatever it takes; no secret.'),
    secret: secretName.optional().describe('Name of the vault secret that it may read.'),
  })
  .describe('An issuer of one’s own, that passes the issuer suite.');
