import { type CedarEngine, createCedarEngine } from '../src/adapters/policy/cedar-engine.ts';
import { loadPolicies } from '../src/adapters/policy/load-policies.ts';
import type { PolicyInventory } from '../src/adapters/policy/policy-inventory.ts';
import type { Decision } from '../src/domain/decision.ts';
import { NO_LABELS } from '../src/domain/flow.ts';
import { agentId, connectorId, taskId, templateId, tenantId, toolRef, traceId } from '../src/domain/ids.ts';
import type { Principal } from '../src/domain/principal.ts';
import type { Task, TaskTemplate } from '../src/domain/task.ts';
import type { GovernedTool, ToolProfile } from '../src/domain/tool.ts';
import { type CallRequest, createDecider } from '../src/policy/decide.ts';
import { median } from './load.ts';
import type { PartResult, Setting } from './set-up.ts';

/** Policies and tools of an estate; the first is what the others are compared with. */
const SIZES = [
  { policies: 10, tools: 5_000 },
  { policies: 100, tools: 5_000 },
  { policies: 1_000, tools: 5_000 },
] as const;
/** Items that calls go to: each has policies of its own in every estate. */
const CALLED = 5;
const MOST_RATIO = 1.25;
const NOW = 1_750_000_000_000;

/** The ways in which a decision comes about: given again, evaluated in process on new arguments, and asked of Cedar. */
const WAYS = [
  { name: 're-used', options: {}, isFresh: false, share: 1 },
  { name: 'fresh', options: {}, isFresh: true, share: 1 },
  { name: 'fresh, by Cedar', options: { compile: false, reuse: false }, isFresh: true, share: 0.05 },
] as const;

type Way = (typeof WAYS)[number];
type Decide = (index: number) => Decision;

/** What one decision costs, by how many policies there are: slicing keeps it flat, or this part fails. */
export async function measureDecisions(setting: Setting): Promise<PartResult> {
  const rounds = setting.isQuick ? 5 : 21;
  const calls = setting.isQuick ? 20_000 : 100_000;
  const estates = SIZES.map((size) => ({ size, loaded: loadOf(size) }));
  const figures: string[] = [];
  const short: string[] = [];
  setting.say(`\n${'decision'.padEnd(18)}${SIZES.map((size) => nameOf(size).padStart(26)).join('')}`);
  for (const way of WAYS) {
    const deciders = estates.map(({ size, loaded }) => {
      const engine = createCedarEngine({ ...loaded, ...way.options });
      return { engine, decide: deciderOf(engine, size, way) };
    });
    const rows = interleaved(
      deciders.map(({ decide }) => decide),
      rounds,
      Math.ceil(calls * way.share),
    );
    for (const { engine } of deciders) engine.release();
    const costs = SIZES.map((_, at) => median(rows.map((row) => row[at] as number)));
    // Of one round, whose parts ran beside each other: what disturbs one disturbs all.
    const ratios = SIZES.map((_, at) => median(rows.map((row) => (row[at] as number) / (row[0] as number))));
    const cells = costs.map((cost, at) => `${cost.toFixed(2)} µs × ${(ratios[at] as number).toFixed(2)}`.padStart(26));
    setting.say(`${way.name.padEnd(18)}${cells.join('')}`);
    const worst = Math.max(...ratios);
    figures.push(`${way.name} ${(costs.at(-1) as number).toFixed(2)} µs, × ${worst.toFixed(2)}`);
    if (worst > MOST_RATIO) short.push(`a decision, ${way.name}: × ${worst.toFixed(2)} (at most ${MOST_RATIO})`);
  }
  return { figure: `decision at ${nameOf(SIZES[2])}: ${figures.join('; ')}`, short };
}

const nameOf = ({ policies, tools }: (typeof SIZES)[number]): string => `${policies} policies, ${tools} tools`;

/** Microseconds a decision, a row for each round, all estates in turn within it. */
function interleaved(deciders: readonly Decide[], rounds: number, calls: number): number[][] {
  const rows: number[][] = [];
  // The first ones warm up.
  for (let round = -3; round < rounds; round++) {
    const row = deciders.map((_, at) => {
      // Who comes first within a round takes turns.
      const turn = (at + round + 3) % deciders.length;
      return { turn, cost: timed(deciders[turn] as Decide, calls, round) };
    });
    if (round >= 0) rows.push(row.sort((a, b) => a.turn - b.turn).map(({ cost }) => cost));
  }
  return rows;
}

function timed(decide: Decide, calls: number, round: number): number {
  const base = (round + 4) * calls;
  const begun = process.hrtime.bigint();
  let permits = 0;
  for (let index = 0; index < calls; index++) if (decide(base + index).verdict === 'permit') permits++;
  const took = Number(process.hrtime.bigint() - begun) / 1_000;
  if (permits !== calls) throw new Error(`${calls - permits} of ${calls} decisions were no permit`);
  return took / calls;
}

const PROFILE: ToolProfile = {
  actionClass: 'read',
  dataClasses: ['personal'],
  criticalArguments: [
    { name: 'path', type: 'path', required: true },
    { name: 'limit', type: 'long', required: false },
  ],
  reversible: true,
  approvedBy: 'bench',
  fingerprint: undefined,
};
const PER_CONNECTOR = 50;
const AGENT = agentId('worker');

const refOf = (index: number) => toolRef(connectorOf(index), `tool_${index}`);
const connectorOf = (index: number) => connectorId(`system_${Math.floor(index / PER_CONNECTOR)}`);

function loadOf({ policies, tools }: (typeof SIZES)[number]) {
  const owned = { owner: 'bench', environment: 'prod', zone: 'inside' };
  const inventory: PolicyInventory = {
    agents: [{ id: AGENT, ...owned }],
    connectors: Array.from({ length: Math.ceil(tools / PER_CONNECTOR) }, (_, connector) => ({
      id: connectorOf(connector * PER_CONNECTOR),
      ...owned,
      tools: Array.from({ length: Math.min(PER_CONNECTOR, tools - connector * PER_CONNECTOR) }, (_, at) => ({
        name: `tool_${connector * PER_CONNECTOR + at}`,
        profile: PROFILE,
      })),
    })),
  };
  // Half permit one item each, half forbid some arguments of it: what a policy is written about.
  const texts = Array.from({ length: policies }, (_, index) => {
    const action = `Remit::Action::"${refOf(Math.floor(index / 2))}"`;
    return index % 2 === 0
      ? `permit (principal == Remit::Agent::"worker", action == ${action}, resource) when { context.args.path like "/srv/*" };`
      : `forbid (principal, action == ${action}, resource) when { context.args has limit && context.args.limit > 1000 };`;
  });
  return loadPolicies([{ path: 'bench.cedar', text: texts.join('\n') }], inventory);
}

/** A decider over an engine, and calls to make of it: the same one for an item each time, or one with arguments that were never seen. */
function deciderOf(engine: CedarEngine, { tools }: (typeof SIZES)[number], way: Way): Decide {
  const decider = createDecider({
    engine: () => engine,
    environment: 'prod',
    labelsOf: () => NO_LABELS,
    clock: () => NOW,
  });
  const called = Array.from({ length: Math.min(CALLED, tools) }, (_, index) => callOf(index));
  return (index) => {
    const call = called[index % called.length] as CallRequest;
    const asked = way.isFresh ? { ...call, args: { path: `/srv/${index}`, limit: index % 1_000 } } : call;
    return decider.decideCall(asked) as Decision;
  };
}

function callOf(index: number): CallRequest {
  const bounds = { actionClasses: ['read'] as const, tools: [refOf(index)], resources: [], calls: 1_000_000_000 };
  const task: Task = {
    id: taskId('tsk_bench'),
    tenant: tenantId('default'),
    agent: AGENT,
    user: undefined,
    template: templateId('bench'),
    purpose: 'bench',
    bounds,
    parent: undefined,
    trace: traceId('0'.repeat(32)),
    state: 'active',
    endReason: undefined,
    startedAt: NOW,
    expiresAt: NOW + 3_600_000,
    endedAt: undefined,
  };
  const template: TaskTemplate = {
    id: task.template,
    owner: 'bench',
    purpose: 'bench',
    agents: [AGENT],
    bounds,
    maxDurationSeconds: 7_200,
    requiresUser: false,
  };
  const principal: Principal = Object.freeze({
    tenant: task.tenant,
    user: undefined,
    agent: AGENT,
    actors: [],
    workload: 'bench',
    task: task.id,
    tokenId: 'bench',
    tokenExpiresAt: NOW + 600_000,
  });
  return { principal, task, template, tool: toolOf(index), args: { path: '/srv/a' }, callsLeft: 1_000_000_000 };
}

function toolOf(index: number): GovernedTool {
  const connector = connectorOf(index);
  const name = `tool_${index}`;
  return {
    kind: 'tool',
    ref: refOf(index),
    connector,
    name,
    exposedName: name,
    definition: { connector, name, description: '', raw: {}, fingerprint: 'sha256:0' },
    profile: PROFILE,
    status: 'described',
  };
}
