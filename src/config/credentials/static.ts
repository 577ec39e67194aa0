import { z } from 'zod';
import { secretName } from '../schema-parts.ts';
import { exception } from './credential-parts.ts';
import { vaultKv } from './vault.ts';

export const staticCredential = z
  .strictObject({
    secret: secretName.optional().describe('Name of the vault secret.'),
    vaultKv: vaultKv.optional(),
    exception,
  })
  .refine(({ secret, vaultKv: kept }) => (secret === undefined) !== (kept === undefined), {
    error: 'name a secret of Remit’s vault, or vaultKv',
  })
  .describe(
    'A long-lived secret out of the vault, or out of a Vault: allowed only under an exception, and shown as one.',
  );
