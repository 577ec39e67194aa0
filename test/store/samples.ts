import { agentId, connectorId, leaseId, taskId, templateId, tenantId, traceId } from '../../src/domain/ids.ts';
import { type Lease, leaseTag } from '../../src/domain/lease.ts';
import type { Task } from '../../src/domain/task.ts';
import type { InventoryTool, SealedSecret, SigningKey } from '../../src/seams/store.ts';

export const ACME = tenantId('acme');
export const RIVAL = tenantId('rival');
/** A time that does not fit 32 bits. */
export const NOW = 1_790_000_000_123;

export function sampleTask(change: Partial<Task> = {}): Task {
  return {
    id: taskId('tsk_one'),
    tenant: ACME,
    agent: agentId('reporter'),
    user: { issuer: 'https://idp.example', subject: 'ann', groups: ['staff', 'Ünïcode "quoted"'] },
    template: templateId('weekly-report'),
    purpose: 'write the weekly report',
    bounds: {
      actionClasses: ['read', 'ticket'],
      tools: ['shop_db/query', 'files/*'],
      resources: ['shop_db:public.orders'],
      calls: 20,
    },
    parent: undefined,
    trace: traceId('0af7651916cd43dd8448eb211c80319c'),
    state: 'active',
    endReason: undefined,
    startedAt: NOW,
    expiresAt: NOW + 600_000,
    endedAt: undefined,
    ...change,
  };
}

export function sampleLease(change: Partial<Lease> = {}): Lease {
  const id = change.id ?? leaseId('lse_one');
  return {
    id,
    tenant: ACME,
    task: taskId('tsk_one'),
    agent: agentId('reporter'),
    connector: connectorId('shop_db'),
    mode: 'task',
    tool: undefined,
    issuer: 'postgres',
    downstream: 'somewhere',
    tag: leaseTag(id),
    state: 'intended',
    revocation: 'immediate',
    scope: '',
    intendedAt: NOW,
    issueDeadline: NOW + 10_000,
    expiresAt: NOW + 300_000,
    nativeExpiresAt: undefined,
    endedAt: undefined,
    endReason: undefined,
    attempts: 0,
    failingSince: undefined,
    uses: 0,
    claimedBy: '',
    claimedUntil: 0,
    fence: 1,
    lastError: undefined,
    ...change,
  };
}

/** Bytes that are no UTF-8, with a NUL. */
export const ENVELOPE = Buffer.from([0, 255, 254, 128, 10, 39, 0, 1]);

export function sampleSecret(change: Partial<SealedSecret> = {}): SealedSecret {
  return {
    tenant: ACME,
    name: 'db-admin',
    version: 1,
    keyId: 'file:kek-1',
    envelope: ENVELOPE,
    fingerprint: undefined,
    createdAt: NOW,
    ...change,
  };
}

export function sampleSigningKey(kid: string, change: Partial<SigningKey> = {}): SigningKey {
  return {
    kid,
    state: 'current',
    keyId: 'file:kek-1',
    envelope: ENVELOPE,
    createdAt: NOW,
    retiresAt: undefined,
    ...change,
  };
}

export function sampleTool(name: string, change: Partial<InventoryTool> = {}): InventoryTool {
  return {
    tenant: ACME,
    connector: 'shop_db',
    name,
    fingerprint: 'sha256:00',
    definition: { name, inputSchema: { type: 'object' }, odd: 'NUL \u0000 and "quotes"' },
    status: 'described',
    actionClass: 'read',
    approvedBy: 'ann@example.com',
    firstSeenAt: NOW,
    lastSeenAt: NOW,
    ...change,
  };
}
