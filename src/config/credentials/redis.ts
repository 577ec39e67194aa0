import { z } from 'zod';
import { secretName } from '../schema-parts.ts';

export const redisCredential = z
  .strictObject({
    host: z.string().default('127.0.0.1'),
    port: z.int().min(1).max(65_535).default(6379),
    database: z.int().min(0).max(1_000).default(0).describe('The one database that a leased user may select.'),
    adminUser: z.string().min(1).default('default').describe('An ACL user that may run ACL SETUSER and ACL DELUSER.'),
    adminPassword: secretName
      .optional()
      .describe('Name of the vault secret with its password; left out for a user without one.'),
    tls: z.boolean().default(false),
    saveUsers: z
      .boolean()
      .default(false)
      .describe('Runs ACL SAVE after each revoke: for a server that keeps users in a file, and saves them.'),
  })
  .describe('A Redis ACL user per lease (Redis 7 or later), bound to the keys that the task names.');
