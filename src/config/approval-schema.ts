import { z } from 'zod';

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
  commandLine: z
    .boolean()
    .default(true)
    .describe('Whether `remit approve` and `remit deny` take verdicts; the page takes them always.'),
});
