import type { PolicyInventory } from '../../src/adapters/policy/policy-inventory.ts';
import type { AccessRequest, PolicyArguments } from '../../src/domain/decision.ts';
import { NO_LABELS } from '../../src/domain/flow.ts';
import {
  agentId,
  connectorId,
  type ToolRef,
  taskId,
  templateId,
  tenantId,
  toolRef,
  traceId,
} from '../../src/domain/ids.ts';
import type { Principal, User } from '../../src/domain/principal.ts';
import { NO_RISK } from '../../src/domain/risk.ts';
import type { Task, TaskTemplate } from '../../src/domain/task.ts';
import type { ActionClass, ArgumentType, GovernedTool, ToolProfile } from '../../src/domain/tool.ts';

export const NOW = 1_750_000_000_000;

/** A profile; an argument is written `type` or `type?`. */
export function sampleProfile(
  actionClass: ActionClass = 'read',
  args: Record<string, string> = {},
  more: Partial<ToolProfile> = {},
): ToolProfile {
  return {
    actionClass,
    dataClasses: [],
    criticalArguments: Object.entries(args).map(([name, type]) => ({
      name,
      type: type.replace('?', '') as ArgumentType,
      required: !type.endsWith('?'),
    })),
    reversible: false,
    approvedBy: 'dba@example.com',
    fingerprint: undefined,
    ...more,
  };
}

export const SHOP = connectorId('shop_db');
export const FILES = connectorId('files');
export const QUERY = toolRef(SHOP, 'query');
export const PAY = toolRef(SHOP, 'pay');
export const READ_FILE = toolRef(FILES, 'read');

export const PROFILES: Record<string, ToolProfile> = {
  [QUERY]: sampleProfile('read', { sql: 'string', limit: 'long?' }, { dataClasses: ['personal'], reversible: true }),
  [PAY]: sampleProfile('financial', { amount: 'long', dry: 'boolean?' }),
  [READ_FILE]: sampleProfile('read', { path: 'path', tags: 'string[]?' }),
};

const agent = (id: string, environment: string, zone: string) => ({
  id: agentId(id),
  owner: `${id}-owner`,
  environment,
  zone,
});

export const INVENTORY: PolicyInventory = {
  agents: [agent('orders-bot', 'prod', 'internal'), agent('helper', 'dev', 'partner')],
  connectors: [
    {
      id: SHOP,
      owner: 'dba',
      environment: 'prod',
      zone: 'internal',
      tools: [
        { name: 'query', profile: PROFILES[QUERY] as ToolProfile },
        { name: 'pay', profile: PROFILES[PAY] as ToolProfile },
      ],
    },
    {
      id: FILES,
      owner: 'it',
      environment: 'dev',
      zone: 'partner',
      tools: [{ name: 'read', profile: PROFILES[READ_FILE] as ToolProfile }],
    },
  ],
};

export const ALICE: User = { issuer: 'https://idp.example', subject: 'alice', groups: ['support'] };

export function samplePrincipal(more: Partial<Principal> = {}): Principal {
  return {
    tenant: tenantId('default'),
    user: undefined,
    agent: agentId('orders-bot'),
    actors: [],
    workload: 'private_key_jwt:test',
    task: taskId('tsk_1'),
    tokenId: 'jti-1',
    tokenExpiresAt: NOW + 600_000,
    ...more,
  };
}

export function sampleTask(more: Partial<Task> = {}): Task {
  return {
    id: taskId('tsk_1'),
    tenant: tenantId('default'),
    agent: agentId('orders-bot'),
    user: undefined,
    template: templateId('orders'),
    purpose: 'look at orders',
    bounds: { actionClasses: ['read', 'financial'], tools: ['shop_db/*', 'files/*'], resources: [], calls: 10 },
    parent: undefined,
    trace: traceId('0'.repeat(32)),
    state: 'active',
    endReason: undefined,
    startedAt: NOW - 1_000,
    expiresAt: NOW + 600_000,
    endedAt: undefined,
    ...more,
  };
}

export function sampleTemplate(more: Partial<TaskTemplate> = {}): TaskTemplate {
  return {
    id: templateId('orders'),
    owner: 'dba@example.com',
    purpose: 'orders',
    agents: [agentId('orders-bot')],
    bounds: sampleTask().bounds,
    maxDurationSeconds: 3_600,
    requiresUser: false,
    ...more,
  };
}

export function sampleTool(ref: ToolRef, more: Partial<GovernedTool> = {}): GovernedTool {
  const [connector, name] = ref.split('/') as [string, string];
  return {
    kind: 'tool',
    ref,
    connector: connectorId(connector),
    name,
    exposedName: ref.replace('/', '_'),
    definition: { connector: connectorId(connector), name, description: '', raw: {}, fingerprint: 'sha256:0' },
    profile: PROFILES[ref],
    status: 'described',
    ...more,
  };
}

export const SAMPLE_ARGUMENTS: Record<string, PolicyArguments> = {
  [QUERY]: { sql: 'select 1' },
  [PAY]: { amount: 5 },
  [READ_FILE]: { path: '/srv/reports/a.txt' },
};

/** A request of orders-bot for one tool. */
export function sampleRequest(ref: ToolRef, more: Partial<AccessRequest> = {}): AccessRequest {
  const { connector, profile } = sampleTool(ref);
  return {
    subject: { kind: 'agent', id: 'orders-bot', groups: [] },
    action: 'call',
    resource: { connector, tool: ref, profile: profile as ToolProfile },
    context: {
      principal: samplePrincipal(),
      task: sampleTask(),
      environment: 'prod',
      arguments: SAMPLE_ARGUMENTS[ref] ?? {},
      labelsOf: () => NO_LABELS,
      provenance: {},
      risk: NO_RISK,
    },
    ...more,
  };
}
