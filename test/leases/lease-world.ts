import { randomBytes } from 'node:crypto';
import {
  agentId,
  connectorId,
  newTaskId,
  newTraceId,
  type TaskId,
  templateId,
  tenantId,
} from '../../src/domain/ids.ts';
import type { Lease } from '../../src/domain/lease.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { Task } from '../../src/domain/task.ts';
import type { HandleSealer, LeaseEvent, RevokeContext } from '../../src/leases/lease-context.ts';
import { LEASE_LIMITS } from '../../src/leases/lease-context.ts';
import { createLeaseManager, type LeaseManagerOptions } from '../../src/leases/lease-manager.ts';
import type { Log } from '../../src/seams/clock.ts';
import { createFakeIssuer, type FakeIssuer } from '../support/fake-issuer.ts';
import { createFakeTime } from '../support/fake-lease-time.ts';
import { createFakeMemoryLeaseRepository } from '../support/fake-memory-lease-repository.ts';

export const TENANT = tenantId('default');
export const SHOP = connectorId('shop');
export const PLAIN = connectorId('plain');

/** FAKE: "seals" by naming the lease; the real one is the vault's. */
export const fakeHandleSealer: HandleSealer = {
  seal: async (lease, handle) => ({ keyId: 'fake', envelope: Buffer.from(`${lease}|${handle.reveal()}`) }),
  async open(lease, { envelope }) {
    const [owner, text] = envelope.toString().split('|');
    if (owner !== lease) throw new Error('a handle of another lease');
    return new Secret(text ?? '');
  },
};

let processes = 0;

/** Everything around a lease manager, faked: time, rows, downstream, audit log. */
export function createWorld(issuer: FakeIssuer = createFakeIssuer(), more: Partial<LeaseManagerOptions> = {}) {
  const time = createFakeTime();
  const repository = createFakeMemoryLeaseRepository();
  const events: LeaseEvent[] = [];
  const logged: unknown[] = [];
  const note = (fields: object, message: string) => void logged.push({ ...fields, message });
  const log: Log = { debug: note, info: note, warn: note, error: note };
  const templates = { environment: { SHOP_TOKEN: '{token}' }, headers: {} };
  const options: LeaseManagerOptions = {
    tenant: TENANT,
    repository,
    claims: repository.claims,
    claimant: `fake process ${++processes}`,
    handles: fakeHandleSealer,
    issuerOf: (connector) => (connector === SHOP ? { issuer, mode: 'task', ttlSeconds: 300, templates } : undefined),
    clock: time.clock,
    schedule: time.schedule,
    random: randomBytes,
    log,
    audit: async (event) => void events.push(event),
    ...more,
  };
  const context: RevokeContext = { ...options, limits: { ...LEASE_LIMITS, ...options.limits } };
  const task = (change: Partial<Task> = {}): Task => ({
    id: newTaskId(randomBytes),
    tenant: TENANT,
    agent: agentId('agent'),
    user: { issuer: 'https://idp.example', subject: 'ada', groups: [] },
    template: templateId('refunds'),
    purpose: 'test',
    bounds: { actionClasses: ['read'], tools: [], resources: ['shop:public.orders', 'crm:people'], calls: 10 },
    parent: undefined,
    trace: newTraceId(randomBytes),
    state: 'active',
    endReason: undefined,
    startedAt: time.clock(),
    expiresAt: time.clock() + 3_600_000,
    endedAt: undefined,
    ...change,
  });
  const rowsOf = (id: TaskId): Lease[] => [...repository.rows.values()].filter((row) => row.task === id);
  const outcomes = () => events.filter((event) => event.type === 'revocation').map((event) => event.detail.outcome);
  return {
    issuer,
    time,
    repository,
    events,
    logged,
    options,
    context,
    task,
    rowsOf,
    outcomes,
    types: () => events.map((event) => event.type),
    /** A process after this one. */
    restart: (change: Partial<LeaseManagerOptions> = {}) =>
      createLeaseManager({ ...options, claimant: `fake process ${++processes}`, ...change }),
    manager: createLeaseManager(options),
  };
}

export type World = ReturnType<typeof createWorld>;
