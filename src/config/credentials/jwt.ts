import { z } from 'zod';
import { scopesByClass } from './credential-parts.ts';

export const jwtCredential = z
  .strictObject({
    audience: z.string().min(1).optional().describe('`aud`; left out: the URL of the connector.'),
    scopes: scopesByClass.default({}).describe('`scope` by action class. A class that is not named stands for itself.'),
  })
  .describe('A JWT that the gateway signs for a server that can verify one.');
