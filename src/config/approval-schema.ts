import { z } from 'zod';
import { allowPrivateNetwork, secretName } from './schema-parts.ts';

const member = z
  .string()
  .regex(
    /^(os:\*|os:[^\s,#*]{1,64}|(user|group):https?:\/\/[^\s#]+#\S{1,255})$/,
    'an approver is os:account, os:* (who may open the data folder), user:issuer#subject or group:issuer#group',
  );
const groupName = z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, 'a group’s name is 1–63 of a–z, 0–9 and -');

/** Who approves held calls, where, and how they are told. */
export const approvalSchema = z.strictObject({
  approvers: z
    .array(member)
    .default(['os:*'])
    .describe('Who approves where a policy names no group: os:account, os:*, user:issuer#subject, group:issuer#group.'),
  groups: z.record(groupName, z.array(member).min(1)).default({}).describe('Approvers by the names that policies use.'),
  perTask: z.int().min(1).max(1_000).default(20).describe('Approvals that one task may ask for.'),
  keepDays: z
    .int()
    .min(2)
    .max(3_650)
    .default(30)
    .describe('How long the store keeps an approval that is over; the trail keeps it as long as everything.'),
  commandLine: z
    .boolean()
    .default(true)
    .describe('Whether `remit approve` and `remit deny` take verdicts; the page takes them always.'),
  signIn: z
    .strictObject({
      issuer: z.url({ protocol: /^https?$/ }).describe('An OpenID provider; also its users’ prefix: issuer#subject.'),
      clientId: z.string().min(1),
      clientSecret: secretName.optional().describe('Vault secret; left out: a public client.'),
      scopes: z.array(z.string().min(1)).default([]).describe('Beside openid and email.'),
      groupsClaim: z.string().min(1).default('groups').describe('Claim of the ID token that lists groups.'),
      allowPrivateNetwork,
    })
    .optional()
    .describe('Where approvers sign in to the page. Left out: by one-time links alone.'),
  notify: z
    .array(
      z.strictObject({
        url: secretName.describe('Vault secret that holds the address: it is one.'),
        format: z.enum(['json', 'slack', 'email']).default('json'),
        to: z.string().min(3).optional().describe('Of an e-mail: to whom.'),
        allowPrivateNetwork,
      }),
    )
    .default([])
    .describe('Where it is told, by a POST, that an approval waits: a link, and nothing of the call.'),
});
