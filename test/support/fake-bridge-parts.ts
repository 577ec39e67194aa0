/** fake-bridge-parts: upstreams of either era that a test scripts, and the little of a gateway that the bridge uses. Listed in docs/fakes.md. */
import { randomBytes } from 'node:crypto';
import { Cancellation } from '../../src/domain/cancellation.ts';
import type { Era } from '../../src/domain/era.ts';
import { connectorId, type TaskId, toolRef } from '../../src/domain/ids.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { createSealer } from '../../src/gateway/bridge/sealer.ts';
import type { BridgedTo, BridgeParts } from '../../src/gateway/bridge/send.ts';
import type { ClientRequest, ClientSide } from '../../src/gateway/client-request.ts';
import { createHub } from '../../src/gateway/events/create-hub.ts';
import type { ClientFeature } from '../../src/gateway/gateway.ts';
import type { Caller } from '../../src/gateway/stages/authenticate.ts';
import type { SmallResult, Upstream, UpstreamCall, UpstreamReply } from '../../src/seams/upstream.ts';
import { makePrincipal, makeTask } from './fake-gateway-parts.ts';
import { createFakeTime } from './fake-lease-time.ts';

export const SHOP = connectorId('shop');
export const ITEM = toolRef(SHOP, 'buy');
export const QUIET = { debug() {}, info() {}, warn() {}, error() {} };
export const EVERYTHING: JsonObject = {
  elicitation: { form: {}, url: {} },
  sampling: { tools: {} },
  roots: { listChanged: true },
  extensions: { 'io.modelcontextprotocol/tasks': {} },
};

export function makeCaller(id = 'tsk_a', subject?: string): Caller {
  const task = makeTask(id);
  const user = subject === undefined ? undefined : { issuer: 'https://idp', subject, groups: [] };
  return { principal: { ...makePrincipal(task), user }, task };
}

export const small = (result: JsonObject): SmallResult => ({ result, resultText: JSON.stringify(result) });

export function makeRequest(era: Era, more: Partial<ClientRequest> = {}): ClientRequest {
  const client: ClientSide = {
    canAnswer: () => true,
    notify() {},
    ask: async () => ({ error: { code: -32603, message: 'not in this test' } }),
  };
  return {
    era,
    protocolVersion: era === 'modern' ? '2026-07-28' : '2025-11-25',
    id: 1,
    method: 'tools/call',
    params: { name: 'buy', arguments: { item: 'tea' } },
    scope: undefined,
    capabilities: EVERYTHING,
    logLevel: undefined,
    progressToken: undefined,
    cancellation: new Cancellation(),
    client,
    session: undefined,
    traceparent: undefined,
    ...more,
  };
}

export const CALL: UpstreamCall = {
  method: 'tools/call',
  params: '"name":"buy","arguments":{"item":"tea"}',
  meta: '',
  timeoutMs: 1_000,
};

/** An upstream that answers by what the test says, and keeps what it was sent. */
export function makeUpstream(
  era: Era,
  answer: (call: UpstreamCall, round: number) => UpstreamReply | Promise<UpstreamReply>,
): Upstream & { readonly calls: UpstreamCall[]; readonly told: string[] } {
  const calls: UpstreamCall[] = [];
  const told: string[] = [];
  let gone = (): void => {};
  const closed = new Promise<void>((resolve) => {
    gone = resolve;
  });
  return {
    era,
    protocolVersion: era === 'modern' ? '2026-07-28' : '2025-11-25',
    capabilities: {},
    calls,
    told,
    async request(call) {
      calls.push(call);
      return answer(call, calls.length - 1);
    },
    notify: (method, params) => void told.push(`${method} ${params}`),
    watch: async (wanted) => void told.push(`watch ${JSON.stringify(wanted)}`),
    close: async () => gone(),
    closed,
    pid: undefined,
  };
}

/** What the bridge uses, on a clock that the test moves. */
export function makeParts(allowed: readonly ClientFeature[] = ['elicitation', 'sampling', 'roots']) {
  const time = createFakeTime(1_800_000_000_000);
  const active = new Set(['tsk_a' as TaskId, 'tsk_b' as TaskId]);
  const sealer = createSealer({ key: randomBytes(32), node: 'node-1', clock: time.clock, random: randomBytes });
  const hub = createHub({
    clock: time.clock,
    schedule: time.schedule,
    log: QUIET,
    onListChanged() {},
    connectorOf: () => SHOP,
    onWanted() {},
    question: () => ({ error: { code: -32603, message: 'not in this test' } }),
  });
  let spans = 0;
  const gateway: BridgeParts = {
    sealer,
    hub,
    clientFeatures: () => allowed,
    tasks: {
      barred: () => undefined,
      confirm: async () => false,
      get: (id) => (active.has(id) ? makeTask(id) : undefined),
      callsLeft: () => 1,
      takeCall: () => true,
      end: async () => true,
    },
    clock: time.clock,
    schedule: time.schedule,
    newSpan: () => `span-${++spans}`,
  };
  return { gateway, time, sealer, hub, end: (id: string) => active.delete(id as TaskId) };
}

export function makeTo(request: ClientRequest, more: Partial<BridgedTo> = {}): BridgedTo {
  return { caller: makeCaller(), request, connector: SHOP, item: ITEM, ...more };
}
