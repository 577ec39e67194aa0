import { z } from 'zod';
import { secretName } from '../schema-parts.ts';
import { exception } from './credential-parts.ts';

export const staticCredential = z
  .strictObject({ secret: secretName, exception })
  .describe('A long-lived secret out of the vault: allowed only under an exception, and shown as one.');
