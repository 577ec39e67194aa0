import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type CedarEngine, createCedarEngine } from '../../src/adapters/policy/cedar-engine.ts';
import { loadPolicies } from '../../src/adapters/policy/load-policies.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import type { Task, TaskTemplate } from '../../src/domain/task.ts';
import type { GovernedTool } from '../../src/domain/tool.ts';
import { createFlow, type Flow, type FlowQuestion } from '../../src/flow/create-flow.ts';
import { judgeRecorded, RECORDED_RULES } from '../../src/flow/judge-recorded.ts';
import { handleMethod } from '../../src/gateway/methods/handle-method.ts';
import { createDecider } from '../../src/policy/decide.ts';
import { makeClientRequest, makeGateway, makePrincipal, nothingKept } from '../support/fake-gateway-parts.ts';
import { asResult, CONTACTS, FETCH, NOTE, POST, REMOVE, SEARCH, SEND, STORE, taskOf, ZONES } from './office.ts';

/**
 * An authorization-conditioned set: the same calls, decided otherwise because something about grant, prompt, label or chain is otherwise. The
 * pipeline, the gates, Cedar and flow are real; the connectors answer what the case says.
 */

interface Case {
  readonly prompt?: string;
  readonly narrow?: boolean;
  readonly destinations?: readonly string[];
  readonly crossings?: readonly string[];
  readonly outward?: number;
  readonly connectors?: number;
  readonly classes?: Task['bounds']['actionClasses'];
  readonly tools?: readonly string[];
  readonly calls?: number;
  readonly policy?: string;
  readonly chain?: 'reads-below' | 'acts-below' | 'strangers';
  readonly with?: JsonObject;
  readonly brings?: unknown;
  readonly again?: number;
  readonly before?: string;
  readonly expect: string;
}

interface Traced {
  readonly trace: string;
  readonly steps: readonly Readonly<Record<string, unknown>>[];
  readonly cases: readonly Case[];
}

const TRACES = parse(readFileSync(join(import.meta.dirname, 'cases.yaml'), 'utf8')) as readonly Traced[];
const ITEMS: readonly GovernedTool[] = [SEARCH, CONTACTS, SEND, POST, FETCH, NOTE, REMOVE, STORE];
const CLASSES = ['read', 'write', 'export'] as const;

const engines = new Map<string, CedarEngine>();
afterAll(() => {
  for (const engine of engines.values()) engine.release();
});

function engineOf(text: string, agent: Task['agent']): CedarEngine {
  let engine = engines.get(text);
  if (engine === undefined) {
    const place = { owner: 'o', environment: 'prod' };
    const inventory = {
      agents: [{ id: agent, ...place, zone: 'internal' }],
      connectors: [...new Set(ITEMS.map(({ connector }) => connector))].map((id) => ({
        id,
        ...place,
        zone: ZONES[id] as string,
        tools: ITEMS.filter((one) => one.connector === id).map(({ name, profile }) => ({
          name,
          profile: profile as NonNullable<typeof profile>,
        })),
      })),
    };
    engine = createCedarEngine(loadPolicies([{ path: 'policies/0.cedar', text }], inventory));
    engines.set(text, engine);
  }
  return engine;
}

/** What the rules say, and held against it what a replay would say from the record of the call alone. */
const compared = new Map<string, number>();
function asByRecord(flow: Flow, asked: FlowQuestion): ReturnType<Flow['judge']> {
  const judged = flow.judge(asked);
  const { hold, facts } = judged;
  const zone = ZONES[asked.item.connector] as string;
  const again = judgeRecorded({ ...facts, ...asked, zone, isMarked: false });
  const rule = hold?.rule;
  compared.set(rule ?? 'none', (compared.get(rule ?? 'none') ?? 0) + 1);
  if (rule === undefined || (RECORDED_RULES.has(rule) && again?.unknown.includes('remit:reach') !== true)) {
    expect(again?.hold?.rule, asked.item.ref).toBe(rule);
  } else {
    expect(again?.hold?.rule === rule ? [rule] : again?.unknown, asked.item.ref).toContain(rule);
  }
  return judged;
}

async function run({ steps }: Traced, one: Case): Promise<{ before: string[]; last: string }> {
  const bounds = {
    actionClasses: one.classes ?? CLASSES,
    tools: one.tools ?? ['office/*', 'vault/*'],
    resources: [],
    calls: one.calls ?? 100,
  };
  const top: Task = { ...taskOf('tsk_top'), bounds };
  const child: Task = { ...taskOf('tsk_child', top), bounds };
  const other: Task = { ...taskOf('tsk_other'), bounds };
  const template: TaskTemplate = {
    id: top.template,
    owner: 'o',
    purpose: 'p',
    agents: [top.agent],
    bounds: { ...bounds, actionClasses: CLASSES, tools: ['office/*', 'vault/*'] },
    maxDurationSeconds: 86_400,
    requiresUser: false,
    flow: {
      isNarrowedByPrompt: one.narrow ?? false,
      destinations: one.destinations ?? [],
      crossings: one.crossings ?? [],
      outwardCalls: one.outward,
      connectors: one.connectors,
    },
  };
  const flow: Flow = createFlow({
    zoneOf: (id) => ZONES[id] as string,
    parentOf: () => undefined,
    ...nothingKept(),
  });
  const engine = engineOf(one.policy ?? 'permit (principal, action, resource);', top.agent);
  let brings: unknown = '';
  const fake = makeGateway({
    tasks: [top, child, other],
    tools: ITEMS,
    template: () => template,
    decider: createDecider({
      engine: () => engine,
      environment: 'prod',
      labelsOf: flow.labelsOf,
      clock: () => top.startedAt + 1,
    }),
    reply: async () => ({ result: asResult(brings), resultText: JSON.stringify(asResult(brings)) }),
  });
  const gateway = { ...fake.gateway, flow: { ...flow, judge: (asked: FlowQuestion) => asByRecord(flow, asked) } };
  if (one.prompt !== undefined) flow.notePrompt(top, one.prompt);
  const readers = { 'reads-below': child, 'acts-below': top, strangers: other } as const;
  const reader = one.chain === undefined ? top : readers[one.chain];
  const actor = one.chain === 'acts-below' ? child : top;

  async function make(step: Readonly<Record<string, unknown>>, task: Task, more: JsonObject = {}): Promise<string> {
    const [name = '', args] = Object.entries(step)[0] ?? [];
    const item = ITEMS.find((tool) => tool.name === name) as GovernedTool;
    const request = makeClientRequest('tools/call', {
      name: item.exposedName,
      arguments: { ...(args as JsonObject), ...more },
    });
    const { reply } = await handleMethod(gateway, { principal: makePrincipal(task), task }, request);
    if ('result' in reply) return 'permit';
    if (!('refusal' in reply) || reply.refusal.kind !== 'denied') throw new Error(JSON.stringify(reply));
    return reply.refusal.decision.policies.join() || 'default deny';
  }

  const before: string[] = [];
  for (const [index, step] of steps.slice(0, -1).entries()) {
    brings = index === 0 && one.brings !== undefined ? one.brings : (step.brings ?? '');
    before.push(await make(step, reader));
  }
  brings = '';
  let last = '';
  for (let time = 0; time < (one.again ?? 1); time += 1) last = await make(steps.at(-1) ?? {}, actor, one.with);
  return { before, last };
}

describe.each(TRACES)('$trace', (traced) => {
  it.each(traced.cases.map((one) => [JSON.stringify({ ...one, expect: undefined }), one.expect, one] as const))(
    '%s: %s',
    async (_, expected, one) => {
      expect(await run(traced, one)).toEqual({ before: [one.before ?? 'permit'], last: expected });
    },
  );
});

it('there are at least 150 of them, each trace is decided on in at least three ways, and no two cases are the same', () => {
  expect(TRACES.flatMap(({ cases }) => cases).length).toBeGreaterThanOrEqual(150);
  for (const { cases } of TRACES) {
    expect(new Set(cases.map((one) => one.expect)).size).toBeGreaterThanOrEqual(3);
    expect(new Set(cases.map((one) => JSON.stringify(one))).size).toBe(cases.length);
  }
});

it('what a simulation says from the record alone is what the rules said, and it says which of them it cannot ask', () => {
  for (const rule of [...RECORDED_RULES, 'remit:not-asked', 'remit:url', 'none'])
    expect(compared.get(rule), rule).toBeGreaterThan(0);
});
