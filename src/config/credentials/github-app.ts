import { z } from 'zod';
import { ACTION_CLASSES } from '../../domain/tool.ts';
import { allowPrivateNetwork, secretName } from '../schema-parts.ts';
import { authorityFile, serviceUrl } from './credential-parts.ts';

const permissions = z.record(
  z.string().regex(/^[a-z][a-z_]{0,63}$/, 'not the name of a permission, as GitHub’s REST API has it'),
  z.enum(['read', 'write', 'admin']),
);

export const githubAppCredential = z
  .strictObject({
    api: serviceUrl
      .default('https://api.github.com')
      .describe('Of the REST API; for a GitHub Enterprise Server https://HOST/api/v3.'),
    allowPrivateNetwork,
    caFile: authorityFile,
    appId: z
      .union([z.int().min(1), z.string().regex(/^[A-Za-z0-9.]{1,64}$/, 'not a client id or number')])
      .describe('The app’s client id, or its number.'),
    installationId: z.int().min(1).describe('Number of the installation.'),
    account: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/, 'not a user or organisation')
      .describe('The user or organisation that it is installed for: resources are its repositories, account/name.'),
    privateKey: secretName.describe('Name of the vault secret with the app’s private key, in PEM.'),
    permissions: z
      .partialRecord(z.enum(ACTION_CLASSES), permissions)
      .describe('Permissions by action class: contents: read. A class that is not named opens nothing.'),
  })
  .describe('An installation token of a GitHub App per lease, for the repositories and permissions of the task.');
