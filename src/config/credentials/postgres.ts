import { z } from 'zod';
import { secretName } from '../schema-parts.ts';

export const postgresCredential = z
  .strictObject({
    host: z.string().default('127.0.0.1'),
    port: z.int().min(1).max(65_535).default(5432),
    database: z.string().min(1),
    adminUser: z.string().min(1).describe('A role that may create roles and grant on the named tables.'),
    adminPassword: secretName
      .optional()
      .describe('Name of the vault secret with its password; left out for trust or peer.'),
    tls: z.boolean().default(false),
  })
  .describe('A PostgreSQL role per lease, with rights on the tables that the task names and nothing else.');
