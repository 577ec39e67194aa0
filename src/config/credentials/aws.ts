import { z } from 'zod';
import { ACTION_CLASSES } from '../../domain/tool.ts';
import { allowPrivateNetwork, secretName } from '../schema-parts.ts';
import { resourcePatterns, serviceUrl } from './credential-parts.ts';

const statement = z.strictObject({
  classes: z.array(z.enum(ACTION_CLASSES)).min(1).describe('Action classes that it is for; one in the task is enough.'),
  actions: z
    .array(z.string().regex(/^[A-Za-z0-9-]+:[A-Za-z0-9*?]+$/, 'not an action, for example s3:GetObject'))
    .min(1)
    .describe('As in a policy.'),
  resources: z
    .array(z.string().min(1))
    .min(1)
    .describe('ARNs; {resource} stands for each of the task’s resources, * in it for any text.'),
  for: resourcePatterns.describe(
    'Which of the task’s resources it takes, * at the end for all that start so; left out: all.',
  ),
  condition: z.record(z.string(), z.record(z.string(), z.unknown())).optional().describe('As in a policy.'),
});

export const awsCredential = z
  .strictObject({
    region: z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'not a region, for example eu-west-1'),
    endpoint: serviceUrl.optional().describe('Of STS; left out: the region’s own.'),
    allowPrivateNetwork,
    accessKeyId: z
      .string()
      .regex(/^[A-Z0-9]{16,128}$/, 'not an access key id')
      .describe('Of Remit’s own key.'),
    secretAccessKey: secretName.describe('Name of the vault secret with it.'),
    roleArn: z.string().regex(/^arn:[a-z-]+:iam::\d{12}:role\/.+$/, 'not the ARN of a role'),
    externalId: z.string().min(2).max(1224).optional(),
    statements: z.array(statement).min(1).describe('What a session may do, within the role: a statement for classes.'),
    tagSessions: z
      .boolean()
      .default(true)
      .describe('Tags that name task, agent, connector and a digest of the user; needs sts:TagSession.'),
  })
  .describe('A session of an IAM role per lease, with a policy for the task’s resources. It cannot be revoked.');
