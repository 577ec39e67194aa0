import { z } from 'zod';
import { ORIGINS, TRUSTS } from '../domain/flow.ts';
import { RISK_LEVELS } from '../domain/risk.ts';

/** Shape of `*.cases.yaml`, the test cases beside the policies. Strict: an unknown key is an error. */

const riskLevel = z.enum(RISK_LEVELS).default('low');

const given = {
  agent: z.string().min(1).optional().describe('As under `agents:`.'),
  user: z
    .strictObject({
      issuer: z.string().min(1),
      subject: z.string().min(1),
      groups: z.array(z.string().min(1)).default([]).describe('As in the user’s token, without the issuer.'),
    })
    .optional()
    .describe('On whose behalf; left out: the agent acts for itself.'),
  actors: z.array(z.string().min(1)).optional().describe('Agents that the call has passed through, nearest first.'),
  action: z.enum(['call', 'discover']).optional().describe('discover: it is listed. Default call.'),
  tool: z
    .string()
    .min(1)
    .optional()
    .describe('connector/tool, connector/resource:pattern or connector/prompt:name, as described.'),
  arguments: z.record(z.string(), z.unknown()).optional().describe('Of a resource `uri`.'),
  template: z
    .string()
    .min(1)
    .optional()
    .describe('As under `templates:`; left out: a task that covers everything, so that policy alone decides.'),
  purpose: z.string().min(1).optional(),
  environment: z.string().min(1).optional().describe('Of the gateway; left out: as in remit.yaml.'),
  labels: z
    .strictObject({
      trust: z.enum(TRUSTS).default('trusted'),
      dataClasses: z.array(z.string().min(1)).default([]),
      zones: z.array(z.string().min(1)).default([]),
    })
    .optional()
    .describe('What the task has read before.'),
  provenance: z
    .record(z.string().min(1), z.enum(ORIGINS))
    .optional()
    .describe('Where the values of critical arguments come from.'),
  risk: z
    .strictObject({ task: riskLevel, connector: riskLevel, agent: riskLevel, user: riskLevel })
    .optional()
    .describe('Levels of whom the call concerns.'),
};

const policyCase = z.strictObject({
  name: z.string().min(1),
  ...given,
  expect: z.enum(['permit', 'deny', 'step_up']),
  gate: z
    .enum(['profile', 'task', 'budget', 'arguments', 'user_policy', 'agent_policy', 'actor_policy'])
    .optional()
    .describe('Which gate decides.'),
  policies: z.array(z.string().min(1)).optional().describe('Ids of all determining policies, in any order.'),
  approvers: z
    .array(z.string().min(1))
    .optional()
    .describe('Of a step_up: all groups that are asked, in any order; [] for everyone who may approve.'),
});

export const policyCasesSchema = z.strictObject({
  defaults: z
    .strictObject(given)
    .default({})
    .describe('What every case of this file is given, unless it says otherwise.'),
  cases: z.array(policyCase).min(1),
});

export type PolicyCaseText = z.output<typeof policyCase>;
