/** fake-gateway-parts: a `Gateway` out of in-memory parts whose every step a test can see and hold up. Listed in docs/fakes.md. */
import { randomBytes } from 'node:crypto';
import type { RecordEntry } from '../../src/audit/recorder.ts';
import { Cancellation } from '../../src/domain/cancellation.ts';
import type { Decision } from '../../src/domain/decision.ts';
import type { Era } from '../../src/domain/era.ts';
import {
  agentId,
  type ConnectorId,
  connectorId,
  leaseId,
  type TaskId,
  taskId,
  templateId,
  tenantId,
  traceId,
} from '../../src/domain/ids.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import type { Lease } from '../../src/domain/lease.ts';
import type { Principal } from '../../src/domain/principal.ts';
import { refuse } from '../../src/domain/refusal.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { Task } from '../../src/domain/task.ts';
import { type GovernedTool, type ItemKind, itemRef } from '../../src/domain/tool.ts';
import { createCanaries } from '../../src/flow/canaries.ts';
import { createFlow, type FlowParts } from '../../src/flow/create-flow.ts';
import { createHandles } from '../../src/flow/handles.ts';
import { createMarkedValues } from '../../src/flow/marked-values.ts';
import { NOTHING_STICKS } from '../../src/flow/stored-labels.ts';
import { createPrinter } from '../../src/flow/value-prints.ts';
import type { Rounds } from '../../src/gateway/bridge/rounds.ts';
import { createSealer } from '../../src/gateway/bridge/sealer.ts';
import type { ClientRequest, ClientSide } from '../../src/gateway/client-request.ts';
import { createConnections } from '../../src/gateway/connections.ts';
import { createHub } from '../../src/gateway/events/create-hub.ts';
import type { ClientFeature, Gateway } from '../../src/gateway/gateway.ts';
import type { Caller } from '../../src/gateway/stages/authenticate.ts';
import { exposeName, shownName } from '../../src/inventory/expose-name.ts';
import type { ListedTemplate } from '../../src/inventory/govern-items.ts';
import { indexItems } from '../../src/inventory/item-index.ts';
import { routeUri, toRouted } from '../../src/inventory/match-uri.ts';
import { createHeldLease } from '../../src/leases/held-lease.ts';
import type { OpenUpstream, Upstream, UpstreamCall, UpstreamReply, Watch } from '../../src/seams/upstream.ts';
import { type NotedEntry, noteEntry } from './noted-entry.ts';

export const TENANT = tenantId('default');
export const CONNECTOR = connectorId('shop');
export const NOW = 1_800_000_000_000;

/** Fingerprints of values, under a key of tests. */
export const PRINTER = createPrinter(Buffer.alloc(32, 7));

/** A flow keeps nothing beyond its families, marks no class, and knows no canary. */
export const nothingKept = (): Pick<FlowParts, 'stored' | 'marked' | 'canaries' | 'handles'> => ({
  stored: NOTHING_STICKS,
  marked: createMarkedValues({ printer: PRINTER, dataClasses: [], acrossMs: undefined, clock: () => NOW }),
  canaries: createCanaries(PRINTER, []),
  handles: createHandles({ isOn: false, random: randomBytes }),
});

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
  return makeItem('tool', name, { status, raw: { inputSchema: { type: 'object' } } });
}

/** An item of any kind; a resource's name is its pattern. */
export function makeItem(
  kind: ItemKind,
  name: string,
  more: {
    readonly connector?: ConnectorId;
    readonly status?: GovernedTool['status'];
    readonly raw?: JsonObject;
    /** Critical arguments, required strings. */
    readonly args?: readonly string[];
  } = {},
): GovernedTool {
  const { connector = CONNECTOR, status = 'described', args = kind === 'resource' ? ['uri'] : [] } = more;
  const raw = { name, description: `the ${name} ${kind}`, ...more.raw };
  return {
    kind,
    ref: itemRef(connector, kind, name),
    connector,
    name,
    exposedName: kind === 'resource' ? name : exposeName(connector, name),
    definition: { connector, name, description: raw.description, raw, fingerprint: `sha256:${name}` },
    profile: {
      actionClass: 'read',
      dataClasses: [],
      criticalArguments: args.map((argument) => ({ name: argument, type: 'string', required: true })),
      reversible: false,
      approvedBy: 'owner',
      fingerprint: undefined,
    },
    status,
  };
}

/** A request of a client that notes what it is told, and answers questions by `ask`. */
export function makeClientRequest(
  method: string,
  params: JsonObject = {},
  more: Partial<ClientRequest> & { readonly ask?: ClientSide['ask'] } = {},
): ClientRequest & { readonly told: [string, JsonObject][]; readonly asked: Parameters<ClientSide['ask']>[0][] } {
  const told: [string, JsonObject][] = [];
  const asked: Parameters<ClientSide['ask']>[0][] = [];
  const { ask, ...given } = more;
  const era: Era = more.era ?? 'legacy';
  return {
    era,
    protocolVersion: era === 'modern' ? '2026-07-28' : '2025-11-25',
    id: 1,
    method,
    params,
    scope: undefined,
    capabilities: {},
    logLevel: undefined,
    progressToken: undefined,
    cancellation: new Cancellation(),
    client: {
      canAnswer: () => ask !== undefined,
      notify: (name, notified) => void told.push([name, notified]),
      ask: (question) => {
        asked.push(question);
        return ask === undefined ? Promise.reject(new Error('nobody to ask')) : ask(question);
      },
    },
    session: undefined,
    traceparent: undefined,
    told,
    asked,
    ...given,
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
  readonly records: NotedEntry[];
  /** Parameters that each upstream request carried, as text. */
  readonly forwarded: string[];
  /** The requests themselves. */
  readonly calls: UpstreamCall[];
  readonly watched: Watch[];
  /** Calls under way that `enter` has counted. */
  readonly underWay: () => number;
  readonly logged: string[];
  readonly tasks: Map<TaskId, Task>;
  /** The caller of the first task, or of the one that is named. */
  caller(task?: Task): Caller;
  end(id: TaskId): void;
}

export interface FakeOptions {
  readonly tasks?: readonly Task[];
  /** Items of every kind. */
  readonly tools?: readonly GovernedTool[];
  readonly templates?: readonly ListedTemplate[];
  readonly decideCall?: Gateway['decider']['decideCall'];
  readonly decideDiscovery?: Gateway['decider']['decideDiscovery'];
  /** Replaces the durable write: resolve late, or reject. */
  readonly record?: (entry: NotedEntry) => Promise<void>;
  readonly acquireLease?: Gateway['acquireLease'];
  readonly barred?: Gateway['tasks']['barred'];
  /** Answers a request, of which `params` is the whole text. */
  readonly reply?: (params: string, open: OpenUpstream, call: UpstreamCall) => Promise<UpstreamReply>;
  readonly open?: (request: OpenUpstream) => Promise<void>;
  /** Of the servers; by default each speaks what the client prefers. */
  readonly era?: Era;
  readonly capabilities?: JsonObject;
  readonly clientFeatures?: readonly ClientFeature[];
  /** Calls that an agent may have under way. */
  readonly maxUnderWay?: number;
  readonly decider?: Gateway['decider'];
  readonly template?: Gateway['template'];
  readonly legacy?: Gateway['legacy'];
  readonly flow?: Gateway['flow'];
  readonly approvals?: Gateway['approvals'];
  readonly risk?: Gateway['risk'];
  readonly limits?: Gateway['limits'];
  readonly memory?: Gateway['memory'];
}

const QUIET = { debug() {}, info() {}, warn() {}, error() {} };

/** Answers each request at once, without parking. */
const NO_ROUNDS: Rounds = {
  answer: (_caller, request, start) => start(request),
  endTask() {},
  closeAll() {},
  size: 0,
};

/** Nobody may ask people anything. */
const NO_APPROVALS: Gateway['approvals'] = {
  find: async () => undefined,
  request: async () => 'too_many',
  use: async () => false,
  wait: async () => 'stopping',
  urlOf: (id) => `http://127.0.0.1:7420/approvals/${id}`,
  release() {},
};

export function makeGateway(options: FakeOptions = {}): FakeGateway {
  const events: string[] = [];
  const records: NotedEntry[] = [];
  const forwarded: string[] = [];
  const calls: UpstreamCall[] = [];
  const watched: Watch[] = [];
  const logged: string[] = [];
  const tasks = new Map((options.tasks ?? [makeTask('tsk_a')]).map((task) => [task.id, task]));
  const left = new Map([...tasks].map(([id, task]) => [id, task.bounds.calls]));
  const items = options.tools ?? [makeTool('orders'), makeTool('refunds')];
  const log = { ...QUIET, warn: (_: object, message: string) => void logged.push(message) };
  let spans = 0;
  let underWay = 0;
  const note = (entry: RecordEntry): void => {
    records.push(noteEntry(entry));
    events.push(`record:${entry.type}`);
  };
  const open = async (request: OpenUpstream): Promise<Upstream> => {
    events.push(`open:${request.task}`);
    await options.open?.(request);
    let close = (): void => {};
    const closed = new Promise<void>((resolve) => {
      close = resolve;
    });
    const era = options.era ?? request.prefer;
    return {
      era,
      protocolVersion: era === 'modern' ? '2026-07-28' : '2025-11-25',
      capabilities: options.capabilities ?? { tools: {}, prompts: {}, resources: {} },
      pid: undefined,
      closed,
      close: async () => {
        events.push(`close:${request.task}`);
        close();
      },
      notify() {},
      watch: async (wanted) => {
        watched.push(wanted);
        events.push('watch');
      },
      request: async (call) => {
        const params = `{${call.params}${call.params === '' ? '' : ','}"_meta":{${call.meta}}}`;
        calls.push(call);
        forwarded.push(params);
        events.push('request');
        if (options.reply !== undefined) return options.reply(params, request, call);
        const result = era === 'modern' ? { resultType: 'complete', content: [] } : { content: [] };
        return { result, resultText: JSON.stringify(result) };
      },
    };
  };
  const connectors = [...new Set(items.map(({ connector }) => connector))];
  const ofKind = (kind: ItemKind) => items.filter((item) => item.kind === kind);
  const tools = indexItems(ofKind('tool'));
  const prompts = indexItems(ofKind('prompt'));
  const resources = ofKind('resource');
  const routed = new Map(
    connectors.map((connector) => [connector, resources.filter((item) => item.connector === connector).map(toRouted)]),
  );
  const templates = options.templates ?? [];
  const clock = (): number => NOW;
  const schedule = (): (() => void) => () => {};
  const hub = createHub({
    clock,
    schedule,
    log,
    onListChanged() {},
    connectorOf: () => CONNECTOR,
    onWanted() {},
    question: () => ({ error: { code: -32603, message: 'not in this test' } }),
  });
  const clientFeatures = (): readonly ClientFeature[] => options.clientFeatures ?? ['elicitation'];
  const gateway: Gateway = {
    tenant: TENANT,
    memory: options.memory,
    legacy: options.legacy,
    risk: options.risk,
    limits: options.limits,
    approvals: options.approvals ?? NO_APPROVALS,
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
      barred: (id) => options.barred?.(id),
      confirm: async () => false,
      callsLeft: (id) => left.get(id) ?? 0,
      takeCall: (id) => {
        const count = left.get(id) ?? 0;
        if (count === 0) return false;
        left.set(id, count - 1);
        return true;
      },
      end: async (id) => tasks.delete(id),
    },
    template: options.template ?? (() => undefined),
    catalogue: {
      byExposedName: (name) => tools.exposed.get(name),
      find: (kind, name, scope) => {
        const index = kind === 'tool' ? tools : prompts;
        return scope === undefined ? index.exposed.get(name) : index.scoped.get(scope)?.get(name);
      },
      shownName,
      routeUri: (uri, scope) => routeUri(routed, uri, scope),
      tools: () => tools.all,
      prompts: () => prompts.all,
      templates: () => templates,
      resources: () => resources,
    },
    deviated: async (task, what, isGrave) =>
      void events.push(`deviated:${task} ${what}${isGrave === true ? ' at once' : ''}`),
    flow: options.flow ?? createFlow({ zoneOf: () => 'internal', parentOf: () => undefined, ...nothingKept() }),
    decider: options.decider ?? {
      decideCall: options.decideCall ?? (() => decision('permit')),
      decideDiscovery: options.decideDiscovery ?? (() => decision('permit')),
    },
    recorder: {
      record: async (entry) => {
        await options.record?.(noteEntry(entry));
        note(entry);
        return records.length - 1;
      },
    },
    recordLater: note,
    recordRefusal: (detail) => note({ type: 'authentication_refused', detail }),
    prompts: undefined,
    telemetry: undefined,
    acquireLease: options.acquireLease ?? ((task, connector) => heldLease(task, connector)),
    connections: createConnections({ opener: () => ({ open }), timeoutMs: () => 1_000, max: 10, clientFeatures }),
    hub,
    sealer: createSealer({ key: SEALING_KEY, node: 'node-1', clock, random: randomBytes }),
    rounds: NO_ROUNDS,
    clientFeatures,
    connectors,
    enter: () => {
      if (underWay >= (options.maxUnderWay ?? 100)) return false;
      underWay += 1;
      return true;
    },
    leave: () => {
      underWay -= 1;
    },
    timeoutMs: () => 1_000,
    newSpan: () => String(++spans).padStart(16, '0'),
    clock,
    schedule,
    log,
  };
  return {
    gateway,
    events,
    records,
    forwarded,
    calls,
    watched,
    underWay: () => underWay,
    logged,
    tasks,
    caller: (task = [...tasks.values()][0] as Task) => ({ principal: makePrincipal(task), task }),
    end: (id) => void tasks.delete(id),
  };
}

const SEALING_KEY = randomBytes(32);

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
    mode: 'task',
    tool: undefined,
    issuer: 'fake',
    downstream: 'somewhere',
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
    failingSince: undefined,
    uses: 0,
    claimedBy: '',
    claimedUntil: 0,
    fence: 1,
    lastError: undefined,
  };
  const existing =
    held.get(key) ??
    createHeldLease(lease, { environment: {}, headers: { Authorization: new Secret(`secret of ${task.id}`) } });
  held.set(key, existing);
  return existing;
}
