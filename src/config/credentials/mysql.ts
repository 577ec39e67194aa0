import { z } from 'zod';
import { secretName } from '../schema-parts.ts';

export const mysqlCredential = z
  .strictObject({
    host: z.string().default('127.0.0.1'),
    port: z.int().min(1).max(65_535).default(3306),
    adminUser: z
      .string()
      .min(1)
      .describe('May make users, see and end sessions, and grant on the named tables; the how-to has its rights.'),
    adminPassword: secretName
      .optional()
      .describe('Name of the vault secret with its password; left out for a user without one.'),
    tls: z
      .boolean()
      .default(false)
      .describe('Verifies the server’s certificate for its host name. MySQL needs it anywhere but on loopback.'),
    userHost: z
      .string()
      .regex(/^[A-Za-z0-9.:%_/-]{1,60}$/, 'not the host part of an account')
      .default('%')
      .describe('Host part of leased users: where they may come from.'),
    requireTls: z.boolean().default(false).describe('Whether leased users have to come by TLS (REQUIRE SSL).'),
    maxConnections: z.int().min(1).max(1_000).default(5).describe('Of one leased user at once.'),
    maxStatementSeconds: z
      .int()
      .min(1)
      .max(3_600)
      .default(60)
      .describe('Longest one statement of a leased user may take. MariaDB only.'),
    eventDatabase: z
      .string()
      .min(1)
      .max(64)
      .optional()
      .describe('A database in which the admin user may make events: then the server itself ends each leased user.'),
  })
  .describe('A user of MariaDB or MySQL per lease, with rights on the tables that the task names and nothing else.');
