import { z } from 'zod';
import { secretName } from '../schema-parts.ts';

const publicKey = (kind: 'A' | 'O', what: string) =>
  z.string().regex(new RegExp(`^${kind}[A-Z2-7]{55}$`), `not the public key of ${what} (${kind}…)`);

export const natsCredential = z
  .strictObject({
    servers: z
      .array(z.url({ protocol: /^nats$/ }))
      .min(1)
      .default(['nats://127.0.0.1:4222'])
      .describe('In operator mode, with a full resolver.'),
    tls: z.boolean().default(false).describe('Then nothing is sent to a server that has no TLS.'),
    operator: publicKey('O', 'an operator').describe(
      'Identity of the operator: whom it trusts with accounts is trusted.',
    ),
    account: publicKey('A', 'an account').describe('Account that leased users are made in.'),
    accountKey: secretName.describe('Name of the vault secret with the seed (SA…) of a signing key of the account.'),
    operatorKey: secretName.describe(
      'Name of the vault secret with the seed (SO…) of a signing key of the operator: it signs the list of revoked users.',
    ),
    systemCredentials: secretName.describe(
      'Name of the vault secret with the credentials (.creds) of a user of the system account.',
    ),
    serverCount: z.int().min(1).max(100).default(1).describe('How many servers have to confirm a revocation.'),
    sources: z
      .array(z.union([z.cidrv4(), z.cidrv6()]))
      .default([])
      .describe('Where leased users may come from; none: anywhere.'),
    connectionTypes: z
      .array(z.enum(['STANDARD', 'WEBSOCKET', 'MQTT']))
      .min(1)
      .default(['STANDARD'])
      .describe('How leased users may connect.'),
  })
  .describe('A user of a NATS account per lease, for the subjects that the task names.');
