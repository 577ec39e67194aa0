import { z } from 'zod';
import { ACTION_CLASSES } from '../../domain/tool.ts';
import { allowPrivateNetwork, secretName } from '../schema-parts.ts';
import { authorityFile, resourcePatterns, serviceUrl } from './credential-parts.ts';

const mountPath = z.string().regex(/^[A-Za-z0-9_-]+(\/[A-Za-z0-9_-]+)*$/, 'not the path of a mount');
const roleName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/, 'not the name of a role');

const login = z
  .strictObject({
    token: secretName.optional().describe('Name of the vault secret with a token, which somebody else renews.'),
    approle: z
      .strictObject({
        mount: mountPath.default('approle'),
        roleId: z.string().min(1),
        secretId: secretName.describe('Name of the vault secret with its secret id.'),
      })
      .optional(),
    jwt: z
      .strictObject({
        mount: mountPath.default('jwt'),
        role: roleName,
        audience: z.string().min(1).describe('`aud` of what the gateway signs: bound_audiences of the role.'),
      })
      .optional()
      .describe('A JWT that the gateway signs; the server verifies it against the gateway’s key set.'),
  })
  .refine((value) => Object.values(value).filter((one) => one !== undefined).length === 1, {
    error: 'name exactly one of token, approle, jwt',
  })
  .describe('As whom Remit logs in.');

/** Where a Vault or OpenBao is, and who Remit is there. */
export const vaultServerShape = {
  address: serviceUrl.describe('Of the server, without /v1.'),
  namespace: z.string().min(1).max(256).optional().describe('X-Vault-Namespace.'),
  login,
  allowPrivateNetwork,
  caFile: authorityFile,
};

export const vaultCredential = z
  .strictObject({
    ...vaultServerShape,
    mount: mountPath.default('database').describe('Where the secrets engine is.'),
    roles: z
      .array(
        z.strictObject({
          role: roleName,
          classes: z.array(z.enum(ACTION_CLASSES)).min(1).describe('Action classes that the role has the rights for.'),
          resources: resourcePatterns,
        }),
      )
      .min(1)
      .describe('Tried in order; the first that has all of the task’s classes and resources is used.'),
    discoveryRole: roleName.optional().describe('Role for the gateway’s own listing, where the server needs one.'),
    policies: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe('Policies of the token that a lease is read with; left out: those of Remit’s own token.'),
    revocation: z
      .enum(['immediate', 'next_use'])
      .default('next_use')
      .describe('immediate: revoking ends open sessions as well, for example by the engine’s revocation statements.'),
  })
  .describe('A dynamic secret of Vault or OpenBao per lease: `<mount>/creds/<role>`.');

export const vaultKv = z
  .strictObject({
    ...vaultServerShape,
    mount: mountPath.default('secret').describe('Where the KV engine, version 2, is.'),
    path: z.string().min(1).max(512).describe('Below `data/`.'),
    key: z.string().min(1).describe('The one member that is read.'),
  })
  .describe('One key of a KV engine, version 2, of Vault or OpenBao.');
