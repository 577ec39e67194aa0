/** fake-gateway-parts: a `Gateway` out of in-memory parts whose every step a test can see and hold up. Listed in docs/fakes.md. */
import type { RecordEntry } from '../../src/audit/recorder.ts';
import type { Decision } from '../../src/domain/decision.ts';
import {
  agentId,
  type ConnectorId,
  connectorId,
  leaseId,
  type TaskId,
  taskId,
  templateId,
  tenantId,
  toolRef,
  traceId,
} from '../../src/domain/ids.ts';
import type { Lease } from '../../src/domain/lease.ts';
import type { Principal } from '../../src/domain/principal.ts';
import { refuse } from '../../src/domain/refusal.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { Task } from '../../src/domain/task.ts';
import type { GovernedTool } from '../../src/domain/tool.ts';
import { createConnections } from '../../src/gateway/connections.ts';
import type { Gateway } from '../../src/gateway/gateway.ts';
import { createHeldLease } from '../../src/leases/held-lease.ts';
import type { OpenUpstream, Upstream, UpstreamReply } from '../../src/seams/upstream.ts';

export const TENANT = tenantId('default');
export const CONNECTOR = connectorId('shop');
export const NOW = 1_800_000_000_000;

export function makeTask(id: string, agent = 'helper', calls = 5): Task {
  return {
    id: taskId(id),
    tenant: TENANT,
    agent: agentId(agent),
    user: undefined,
    template: templateId('orders'),
    purpose: 'test',
    bounds: { actionClasses: ['read'], tools: ['shop/*'], resources: [], calls },
    parent: undefined,
    trace: traceId('0'.repeat(32)),
    state: 'active',
    endReason: undefined,
    startedAt: NOW,
    expiresAt: NOW + 60_000,
    endedAt: undefined,
  };
}

export function makePrincipal(task: Task): Principal {
  return {
    tenant: TENANT,
    user: undefined,
    agent: task.agent,
    actors: [],
    workload: 'private_key_jwt',
    task: task.id,
    tokenId: 'jti',
    tokenExpiresAt: NOW + 60_000,
  };
}

export function makeTool(name: string, status: GovernedTool['status'] = 'described'): GovernedTool {
  const raw = { name, description: `the ${name} tool`, inputSchema: { type: 'object' } };
  return {
    ref: toolRef(CONNECTOR, name),
    connector: CONNECTOR,
    name,
    exposedName: `shop__${name}`,
    definition: { connector: CONNECTOR, name, description: raw.description, raw, fingerprint: `sha256:${name}` },
    profile: {
      actionClass: 'read',
      dataClasses: [],
      criticalArguments: [],
      reversible: false,
      approvedBy: 'owner',
      fingerprint: undefined,
    },
    status,
  };
}

export function decision(verdict: Decision['verdict'], more: Partial<Decision> = {}): Decision {
  return {
    verdict,
    gate: 'agent_policy',
    policies: ['p1'],
    reason: 'because',
    nextStep: 'do this',
    policyVersion: 'v1',
    ...more,
  };
}

export interface FakeGateway {
  readonly gateway: Gateway;
  /** What happened, in order: `record:decision`, `lease`, `open:tsk_a`, `request:…`, `record:outcome` … */
  readonly events: string[];
  readonly records: RecordEntry[];
  /** Parameters that each upstream request carried, as text. */
  readonly forwarded: string[];
  readonly tasks: Map<TaskId, Task>;
  end(id: TaskId): void;
}

export interface FakeOptions {
  readonly tasks?: readonly Task[];
  readonly tools?: readonly GovernedTool[];
  readonly decideCall?: Gateway['decider']['decideCall'];
  readonly decideDiscovery?: Gateway['decider']['decideDiscovery'];
  /** Replaces the durable write: resolve late, or reject. */
  readonly record?: (entry: RecordEntry) => Promise<void>;
  readonly acquireLease?: Gateway['acquireLease'];
  readonly reply?: (params: string, open: OpenUpstream) => Promise<UpstreamReply>;
}

export function makeGateway(options: FakeOptions = {}): FakeGateway {
  const events: string[] = [];
  const records: RecordEntry[] = [];
  const forwarded: string[] = [];
  const tasks = new Map((options.tasks ?? [makeTask('tsk_a')]).map((task) => [task.id, task]));
  const left = new Map([...tasks].map(([id, task]) => [id, task.bounds.calls]));
  const tools = options.tools ?? [makeTool('orders'), makeTool('refunds')];
  let spans = 0;
  const note = (entry: RecordEntry): void => {
    records.push(entry);
    events.push(`record:${entry.type}`);
  };
  const open = async (request: OpenUpstream): Promise<Upstream> => {
    events.push(`open:${request.task}`);
    let close = (): void => {};
    const closed = new Promise<void>((resolve) => {
      close = resolve;
    });
    return {
      pid: undefined,
      closed,
      close: async () => {
        events.push(`close:${request.task}`);
        close();
      },
      request: async (_method, params) => {
        forwarded.push(params);
        events.push('request');
        return options.reply
          ? options.reply(params, request)
          : { result: { content: [] }, resultText: '{"content":[]}' };
      },
    };
  };
  const gateway: Gateway = {
    tenant: TENANT,
    authenticator: {
      authenticate: (authorization) => {
        const task = tasks.get((authorization ?? '').replace('Bearer ', '') as TaskId);
        return task === undefined
          ? refuse({ kind: 'unauthenticated', error: 'invalid_token', reason: 'bad token' })
          : makePrincipal(task);
      },
    },
    isRegistered: () => true,
    tasks: {
      get: (id) => tasks.get(id),
      callsLeft: (id) => left.get(id) ?? 0,
      takeCall: (id) => {
        const calls = left.get(id) ?? 0;
        if (calls === 0) return false;
        left.set(id, calls - 1);
        return true;
      },
      end: async (id) => tasks.delete(id),
    },
    template: () => undefined,
    catalogue: { byExposedName: (name) => tools.find((tool) => tool.exposedName === name), tools: () => tools },
    decider: {
      decideCall: options.decideCall ?? (() => decision('permit')),
      decideDiscovery: options.decideDiscovery ?? (() => decision('permit')),
    },
    recorder: {
      record: async (entry) => {
        await options.record?.(entry);
        note(entry);
        return records.length - 1;
      },
    },
    recordLater: note,
    recordRefusal: (detail) => note({ type: 'authentication_refused', detail }),
    acquireLease: options.acquireLease ?? ((task, connector) => heldLease(task, connector)),
    connections: createConnections({ opener: () => ({ open }), timeoutMs: () => 1_000, max: 10 }),
    timeoutMs: () => 1_000,
    newSpan: () => String(++spans).padStart(16, '0'),
    clock: () => NOW,
    log: { debug() {}, info() {}, warn() {}, error() {} },
  };
  return { gateway, events, records, forwarded, tasks, end: (id) => void tasks.delete(id) };
}

const held = new Map<string, ReturnType<typeof createHeldLease>>();

/** One lease per task and connector, with a secret that names its task. */
export function heldLease(task: Task, connector: ConnectorId): ReturnType<typeof createHeldLease> {
  const key = `${task.id}:${connector}`;
  const lease: Lease = {
    id: leaseId(`lse_${task.id.slice(4)}`),
    tenant: TENANT,
    task: task.id,
    agent: task.agent,
    connector,
    issuer: 'fake',
    tag: `remit_${task.id.slice(4)}`,
    state: 'active',
    revocation: 'immediate',
    scope: 'everything fake',
    intendedAt: NOW,
    issueDeadline: NOW + 1_000,
    expiresAt: NOW + 60_000,
    nativeExpiresAt: NOW + 60_000,
    endedAt: undefined,
    endReason: undefined,
    attempts: 0,
    lastError: undefined,
  };
  const existing =
    held.get(key) ??
    createHeldLease(lease, { environment: {}, headers: { Authorization: new Secret(`secret of ${task.id}`) } });
  held.set(key, existing);
  return existing;
}
