import { z } from 'zod';
import { ACTION_CLASSES } from '../../domain/tool.ts';
import { secretName } from '../schema-parts.ts';

const sshClass = z
  .strictObject({
    forceCommand: z
      .string()
      .min(1)
      .max(4_096)
      // biome-ignore lint/suspicious/noControlCharactersInRegex: what a shell would take for several lines
      .regex(/^[^\x00-\x1f\x7f]+$/, 'one line')
      .optional()
      .describe(
        'The one command that is run, whatever is asked for. {until} is the end of the lease, in seconds since 1970.',
      ),
    anyCommand: z.boolean().default(false).describe('Instead of a forced command, and a finding.'),
    pty: z.boolean().default(false),
    portForwarding: z.boolean().default(false),
    agentForwarding: z.boolean().default(false),
    x11Forwarding: z.boolean().default(false),
  })
  .refine(({ forceCommand, anyCommand }) => (forceCommand === undefined) === anyCommand, {
    path: ['forceCommand'],
    error: 'name the command that is forced, or say anyCommand: true',
  });

export const sshCredential = z
  .strictObject({
    servers: z.string().min(1).max(200).describe('What its certificates open, for people: web fleet.'),
    caKey: secretName.describe(
      'Name of the vault secret with the private key of the authority (TrustedUserCAKeys), without a passphrase.',
    ),
    classes: z
      .partialRecord(z.enum(ACTION_CLASSES), sshClass)
      .describe('What a certificate allows, by action class. A class that is not named opens nothing.'),
    sourceAddresses: z
      .array(z.union([z.cidrv4(), z.cidrv6()]))
      .default([])
      .describe('Where a certificate may be used from; none: anywhere.'),
    krlFile: z
      .string()
      .min(1)
      .optional()
      .describe('The list of revoked certificates (RevokedKeys). Left out: a lease lapses, none is revoked.'),
    sharedKrl: z
      .boolean()
      .default(false)
      .describe(
        'Whether servers read that very file at each login. Otherwise a lease lapses, however soon it is copied.',
      ),
  })
  .refine(({ krlFile, sharedKrl }) => krlFile !== undefined || !sharedKrl, {
    path: ['sharedKrl'],
    error: 'name the krlFile that servers read',
  })
  .describe('A user certificate of OpenSSH per lease, for the principals that the task names.');
