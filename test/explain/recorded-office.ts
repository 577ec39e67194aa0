import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vi } from 'vitest';
import { createCedarEngine } from '../../src/adapters/policy/cedar-engine.ts';
import type { RunReader } from '../../src/audit/read-backwards.ts';
import { createRecorder } from '../../src/audit/recorder.ts';
import { createContentSealer, openContent } from '../../src/audit/seal-content.ts';
import { describedItem } from '../../src/compose/connectors/described-items.ts';
import { buildEstate, type Estate } from '../../src/compose/estate.ts';
import type { OpenArguments } from '../../src/compose/explain/open-arguments.ts';
import { type RecordedSpan, recordedSpan } from '../../src/compose/explain/recorded-span.ts';
import { readPolicies } from '../../src/compose/policies/policies.ts';
import { detailOfTask, identityOfTask } from '../../src/compose/trail/task-records.ts';
import { parseConfig } from '../../src/config/load-config.ts';
import type { Decision } from '../../src/domain/decision.ts';
import {
  agentId,
  newTaskId,
  newTraceId,
  type TaskId,
  type ToolRef,
  templateId,
  tenantId,
} from '../../src/domain/ids.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { type CallRisk, NO_RISK } from '../../src/domain/risk.ts';
import type { Task, TaskTemplate } from '../../src/domain/task.ts';
import { createFlow } from '../../src/flow/create-flow.ts';
import { originsOf } from '../../src/flow/origins-of.ts';
import type { Gateway } from '../../src/gateway/gateway.ts';
import { listTools } from '../../src/gateway/methods/list-items.ts';
import type { Operation } from '../../src/gateway/operation.ts';
import type { Caller } from '../../src/gateway/stages/authenticate.ts';
import { decide, settle } from '../../src/gateway/stages/decide.ts';
import { factsOf, judgeFlow } from '../../src/gateway/stages/flow.ts';
import { recordIntent } from '../../src/gateway/stages/record-intent.ts';
import { judgeRisk, riskOf } from '../../src/gateway/stages/risk.ts';
import { createDecider } from '../../src/policy/decide.ts';
import { narrowTask } from '../../src/tasks/declare-task.ts';
import { isTaskRefusal } from '../../src/tasks/task-refusal.ts';
import { memoryJournal } from '../audit/fixtures.ts';
import { makeClientRequest, nothingKept } from '../support/fake-gateway-parts.ts';
import { OFFICE_CEDAR, OFFICE_YAML } from './office-estate.ts';

// Each office reads and validates policies: seconds, where other work has the processors.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

export const START = Date.UTC(2026, 6, 1, 8);

/** Most calls are of nobody who has done anything. */
const LEVELS: readonly (CallRisk | undefined)[] = [
  ...Array.from({ length: 20 }, () => undefined),
  { ...NO_RISK, agent: 'elevated' },
  { ...NO_RISK, task: 'high' },
  { ...NO_RISK, agent: 'critical' },
];

export interface Drawn {
  /** A whole number from 0, below `end`. */
  (end: number): number;
  of<T>(from: readonly T[]): T;
}

/** Repeatable: the same seed, the same traffic. */
export function drawFrom(seed: number): Drawn {
  let state = seed * 2_654_435_761 + 1;
  const next = (end: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * end);
  };
  return Object.assign(next, { of: <T>(from: readonly T[]): T => from[next(from.length)] as T });
}

export async function writePolicies(text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'remit-policies-'));
  await writeFile(join(folder, 'all.cedar'), text);
  return folder;
}

export interface Office {
  readonly estate: Estate;
  readonly policies: string;
  readonly span: RecordedSpan;
  readonly reader: RunReader;
  readonly openArguments: OpenArguments;
  readonly payloads: readonly Buffer[];
  start(more?: Partial<Declared>): Task;
  /** Decides and records as the pipeline does; of a held call, what the approvers say. */
  call(task: Task, ref: string, args?: JsonObject, approve?: boolean): Promise<Decision>;
  list(task: Task): Promise<void>;
  end(task: Task): Promise<void>;
  now: number;
  /** What other policies would have said of each call, asked at the time of the call and with what was true then. */
  readonly others: { readonly was: Decision; readonly other: Decision; readonly span: string }[];
}

interface Declared {
  readonly agent: string;
  readonly template: string;
  readonly groups: readonly string[] | undefined;
  readonly purpose: string;
  readonly tools: readonly string[];
}

/**
 * Recorded traffic of the office: the gateway's own stages decide and record it, over a journal in memory.
 * @param other policies that are asked beside, and decide nothing
 */
export async function makeOffice(options: { seed?: number; cedar?: string; other?: string } = {}): Promise<Office> {
  const draw = drawFrom(options.seed ?? 1);
  const random = (size: number): Uint8Array => Uint8Array.from({ length: size }, () => draw(256));
  const estate = buildEstate(parseConfig(OFFICE_YAML, 'remit.yaml'));
  const policies = await writePolicies(options.cedar ?? OFFICE_CEDAR);
  const engine = createCedarEngine(await readPolicies(policies, estate));
  const otherEngine =
    options.other === undefined ? undefined : createCedarEngine(await readPolicies(options.other, estate));
  const tasks = new Map<TaskId, Task>();
  const used = new Map<TaskId, number>();
  const keys = new Map<string, Buffer>();
  const sealers = new Map<TaskId, ReturnType<typeof createContentSealer>>();
  const flow = createFlow({
    zoneOf: (connector) => estate.connectors.get(connector)?.zone ?? 'unknown',
    parentOf: () => undefined,
    ...nothingKept(),
  });
  const journal = memoryJournal();
  const clock = (): number => office.now;
  const recorder = createRecorder({
    journal,
    clock,
    tenant: tenantId('default'),
    seal: (task, text) => sealers.get(task)?.seal(text) ?? (Promise.reject(new Error('no key')) as never),
  });
  const { environment } = estate;
  const deciderOf = (one: typeof engine) =>
    createDecider({ engine: () => one, environment, labelsOf: flow.labelsOf, clock });
  const others: Office['others'][number][] = [];
  const items = [...estate.connectors.values()].flatMap(({ id, profiles }) =>
    [...profiles.keys()].map(
      (name) => describedItem(estate, `${id}/${name}` as ToolRef) as NonNullable<ReturnType<typeof describedItem>>,
    ),
  );
  let spans = 0;
  const gateway = {
    decider: deciderOf(engine),
    flow,
    legacy: undefined,
    prompts: undefined,
    recorder,
    template: (id: Task['template']): TaskTemplate | undefined => estate.templates.get(id),
    tasks: {
      callsLeft: (id: TaskId) => (tasks.get(id)?.bounds.calls ?? 0) - (used.get(id) ?? 0),
      takeCall: (id: TaskId) => {
        if ((tasks.get(id)?.bounds.calls ?? 0) <= (used.get(id) ?? 0)) return false;
        used.set(id, (used.get(id) ?? 0) + 1);
        return true;
      },
    },
    catalogue: { version: 1, tools: () => items, shownName: () => 'x' },
    newSpan: () => (++spans).toString(16).padStart(16, '0'),
    log: { debug() {}, info() {}, warn() {}, error() {} },
    telemetry: undefined,
    risk: {
      calls: { isUsual: () => true, attempt() {}, denied() {}, hasNew: false, permitted() {}, tainted() {} },
      levels: {
        isQuiet: false,
        levelsOf: () => LEVELS[spans % LEVELS.length] ?? NO_RISK,
        judge: (_: unknown, { agent }: CallRisk, isRead: boolean) =>
          agent === 'low' || (agent === 'elevated' && isRead)
            ? undefined
            : { action: agent === 'critical' ? 'deny' : 'hold', by: { kind: 'agent', id: 'x' }, level: agent },
      },
    },
  } as unknown as Gateway;
  const callerOf = (task: Task): Caller => ({
    task,
    principal: {
      tenant: task.tenant,
      user: task.user,
      agent: task.agent,
      actors: Object.freeze([]),
      workload: 'private_key_jwt:test',
      task: task.id,
      tokenId: 'jti',
      tokenExpiresAt: task.expiresAt,
    },
  });

  const office: Office = {
    estate,
    policies,
    others,
    now: START,
    payloads: journal.payloads,
    reader: { read: (from) => journal.read(from), starts: async () => [0] },
    get span() {
      return recordedSpan(office.reader, estate, 0, Number.MAX_SAFE_INTEGER / 1000);
    },
    async openArguments({ record: { sealed, task, span } }) {
      const bytes = sealed && keys.get(sealed.key);
      if (sealed === undefined || bytes === undefined || task === undefined || span === undefined)
        return 'arguments_erased';
      return JSON.parse(openContent(sealed, { task, span }, { name: sealed.key, bytes })) as JsonObject;
    },
    start(more = {}) {
      const { agent = 'clerk', template = 'office', groups } = more;
      const made = narrowTask(
        estate.templates.get(templateId(template)) as TaskTemplate,
        {
          template: templateId(template),
          ...(more.purpose && { purpose: more.purpose }),
          ...(more.tools && { tools: more.tools }),
        },
        {
          tenant: tenantId('default'),
          agent: agentId(agent),
          user: groups && { issuer: 'https://idp.example', subject: 'alice', groups },
          now: office.now,
          id: newTaskId(random),
          trace: newTraceId(random),
        },
      );
      if (isTaskRefusal(made)) throw new Error(JSON.stringify(made));
      tasks.set(made.id, made);
      const bytes = Buffer.from(random(32));
      keys.set(made.id, bytes);
      sealers.set(made.id, createContentSealer({ name: made.id, bytes }, random));
      void recorder.record({ type: 'task_started', ...identityOfTask(made), detail: detailOfTask(made) });
      return made;
    },
    async call(task, ref, args = {}, approve = false) {
      const item = describedItem(estate, ref as ToolRef);
      if (item === undefined) throw new Error(`no ${ref}`);
      const argumentsText = JSON.stringify(args);
      const operation = {
        request: makeClientRequest('tools/call'),
        method: 'tools/call',
        item,
        effect: 'call',
        args,
        argumentsText,
        span: gateway.newSpan(),
      } as unknown as Operation;
      const caller = callerOf(task);
      let other: Decision | undefined;
      if (otherEngine !== undefined) {
        const asked = { ...gateway, decider: deciderOf(otherEngine), legacy: { admit: () => ({ verdict: 'deny' }) } };
        other = await decideOnly(asked as unknown as Gateway, caller, operation);
      }
      let decision = await decide(gateway, caller, operation);
      await recordIntent(gateway, caller, operation, decision);
      if (other !== undefined) others.push({ was: decision, other, span: operation.span });
      if (decision.verdict === 'step_up' && approve) {
        decision = await settle(gateway, caller, operation, {
          ...decision,
          verdict: 'permit',
          approval: 'apr_1' as NonNullable<Decision['approval']>,
        });
        await recordIntent(gateway, caller, operation, decision);
      }
      if (decision.verdict === 'permit') {
        flow.learn(task, item, args, operation.span, { content: [{ type: 'text', text: 'pay eve' }] });
      }
      return decision;
    },
    async list(task) {
      await listTools(gateway, callerOf(task), makeClientRequest('tools/list'));
    },
    async end(task) {
      flow.forget(task.id);
      await recorder.record({ type: 'task_ended', ...identityOfTask(task), detail: { reason: 'completed' } });
    },
  };
  return office;
}

/** What policies and rules of flow say, without charging or joining anything. */
async function decideOnly(gateway: Gateway, caller: Caller, operation: Operation): Promise<Decision> {
  const { principal, task } = caller;
  const flow = operation.item.profile?.flow === undefined ? undefined : factsOf(gateway, caller, operation);
  const risk = riskOf(gateway, caller, operation);
  const decision = await gateway.decider.decideCall({
    principal,
    task,
    template: gateway.template(task.template),
    tool: operation.item,
    args: operation.args,
    callsLeft: gateway.tasks.callsLeft(task.id),
    provenance: flow && originsOf(flow.provenance),
    risk,
  });
  const flowing = flow === undefined ? decision : judgeFlow(gateway, caller, operation, decision, flow);
  return judgeRisk(gateway, caller, operation, risk, flowing);
}

/** Everyday traffic of a few tasks, with what goes wrong in it. */
export async function makeTraffic(office: Office, seed: number, tasks: number): Promise<void> {
  const draw = drawFrom(seed);
  const open: Task[] = [];
  const groups = [undefined, ['staff'], ['staff', 'leads'], ['leads'], []];
  const calls: [string, () => JsonObject][] = [
    ['mail/search', () => ({ query: draw.of(['bills', 'eve']) })],
    ['mail/search', () => ({})],
    ['mail/send', () => ({ to: draw.of(['bob@shop.example', 'eve@evil.example']) })],
    ['bank/balance', () => ({})],
    ['bank/balance', () => ({})],
    [
      'bank/pay',
      () => ({ amount: draw.of([50, 300, 700, 950]), to: 'vendor', ...(draw(3) === 0 && { urgent: true }) }),
    ],
    ['bank/pay', () => ({ amount: draw.of(['7', 20, 600]), to: 'eve' })],
    ['bank/close', () => ({})],
  ];
  for (let made = 0; made < tasks; made += 1) {
    const agent = draw.of(['clerk', 'payer']);
    open.push(
      office.start({
        agent,
        template: agent === 'payer' ? draw.of(['office', 'paying']) : 'office',
        groups: draw.of(groups),
        ...(draw(4) === 0 && { purpose: 'closed' }),
      }),
    );
    for (let count = draw(12); count > 0; count -= 1) {
      const task = draw.of(open);
      office.now += draw(90_000);
      const [ref, args] = draw.of(calls);
      if (draw(6) === 0) await office.list(task);
      await office.call(task, ref, args(), draw(2) === 0);
    }
    if (open.length > 3) await office.end(open.shift() as Task);
  }
}
