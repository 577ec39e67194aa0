import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createCedarEngine } from '../../src/adapters/policy/cedar-engine.ts';
import { loadPolicies } from '../../src/adapters/policy/load-policies.ts';
import { NO_LABELS } from '../../src/domain/flow.ts';
import { agentId, toolRef } from '../../src/domain/ids.ts';
import type { ActionClass, GovernedTool } from '../../src/domain/tool.ts';
import { createDecider } from '../../src/policy/decide.ts';
import { NOW, samplePrincipal, sampleProfile, sampleTask, sampleTemplate, sampleTool } from './samples.ts';

/**
 * The reference: every gate is a set, and a call is permitted when the tool is in all of them. It shares nothing with the
 * implementation, and knows neither order nor reasons.
 */

const AGENTS = ['a1', 'a2', 'a3'];
const USERS = ['u1', 'u2'];
const CLASSES = ['read', 'write', 'financial'] as const;
const TOOLS = [
  { connector: 'x', name: 'r', class: 'read' },
  { connector: 'x', name: 'w', class: 'write' },
  { connector: 'y', name: 'r', class: 'read' },
  { connector: 'y', name: 'f', class: 'financial' },
] as const;
const REFS = TOOLS.map(({ connector, name }) => `${connector}/${name}`);
const PATTERNS = [...REFS, 'x/*', 'y/*'];

const governed = TOOLS.map(({ connector, name, class: actionClass }): GovernedTool => {
  const ref = toolRef(connector as never, name);
  return sampleTool(ref, { profile: sampleProfile(actionClass as ActionClass, { n: 'long?' }) });
});

const INVENTORY = {
  agents: AGENTS.map((id) => ({ id: agentId(id), owner: 'o', environment: 'prod', zone: 'internal' })),
  connectors: ['x', 'y'].map((id) => ({
    id: id as never,
    owner: 'o',
    environment: 'prod',
    zone: 'internal',
    tools: governed
      .filter((tool) => tool.connector === id)
      .map(({ name, profile }) => ({ name, profile: profile as never })),
  })),
};

/** Mostly full sets, so that permits are not rare. */
const most = <T>(all: readonly T[]): fc.Arbitrary<T[]> =>
  fc.oneof({ weight: 3, arbitrary: fc.constant<T[]>([...all]) }, { weight: 2, arbitrary: fc.subarray<T>([...all]) });
const mostly = <T>(usual: T, ...others: T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 8, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) });

const pairs = [...AGENTS.map((id) => `agent ${id}`), ...USERS.map((id) => `user idp#${id}`), 'group idp#g'].flatMap(
  (who) => REFS.flatMap((tool) => ['call', 'discover'].map((action) => `${who} ${action} ${tool}`)),
);

const world = fc.record({
  permitted: most(pairs),
  forbidden: mostly<string[]>([], ...pairs.map((pair) => [pair])),
  taskTools: most(PATTERNS),
  templateTools: most(PATTERNS),
  taskClasses: most(CLASSES),
  templateClasses: most(CLASSES),
  templateAgents: most(AGENTS),
  status: mostly<GovernedTool['status']>('described', 'undescribed', 'quarantined'),
  state: mostly<'active' | 'suspended' | 'ended'>('active', 'suspended', 'ended'),
  now: mostly(NOW, NOW + 600_000, NOW + 599_999, Number.NaN),
  callsLeft: mostly(5, 0, 1, Number.NaN),
  templateCalls: mostly(10, 5, 6, 1),
  args: mostly<unknown>({}, { n: 1 }, { n: 'x' }, null),
  user: fc.constantFrom(undefined, ...USERS),
  inGroup: fc.boolean(),
  taskUser: mostly('same', 'none', 'u2'),
  requiresUser: mostly(false, true),
  agent: fc.constantFrom(...AGENTS),
  actors: fc.subarray(AGENTS, { maxLength: 2 }),
  tool: fc.constantFrom(0, 1, 2, 3),
  action: fc.constantFrom('call' as const, 'call' as const, 'discover' as const),
});
type World = typeof world extends fc.Arbitrary<infer T> ? T : never;

function reference(w: World): boolean {
  const tool = TOOLS[w.tool] as (typeof TOOLS)[number];
  const ref = `${tool.connector}/${tool.name}`;
  const names = new Set([ref, `${tool.connector}/*`]);
  const hasName = (patterns: readonly string[]) => patterns.some((pattern) => names.has(pattern));
  const taskUser = w.taskUser === 'same' ? w.user : w.taskUser === 'none' ? undefined : w.taskUser;
  const parties = [w.agent, ...w.actors].map((id) => [`agent ${id}`]);
  if (w.user !== undefined) parties.push([`user idp#${w.user}`, ...(w.inGroup ? ['group idp#g'] : [])]);
  const rights = (list: readonly string[], names: readonly string[]) =>
    names.some((name) => list.includes(`${name} ${w.action} ${ref}`));
  return [
    w.status === 'described',
    w.state === 'active',
    w.now < NOW + 600_000,
    hasName(w.taskTools),
    hasName(w.templateTools),
    w.taskClasses.includes(tool.class),
    w.templateClasses.includes(tool.class),
    w.templateAgents.includes(w.agent),
    taskUser === w.user,
    !w.requiresUser || w.user !== undefined,
    w.action === 'discover' || (w.callsLeft >= 1 && 10 - w.callsLeft + 1 <= w.templateCalls),
    w.action === 'discover' || (w.args !== null && (w.args as { n?: unknown }).n !== 'x'),
    parties.every((names) => rights(w.permitted, names) && !rights(w.forbidden, names)),
  ].every(Boolean);
}

function ruleText(effect: 'permit' | 'forbid', pair: string): string {
  const [kind, id, action, tool] = pair.split(' ') as [string, string, string, string];
  const type = { agent: 'Agent', user: 'User', group: 'Group' }[kind];
  const name = action === 'discover' ? 'discover' : tool;
  return `@id("${effect} ${pair}") ${effect} (principal in Remit::${type}::"${id}", action == Remit::Action::"${name}",
    resource == Remit::Tool::"${tool}");`;
}

/** Validated once, because that is slow; each world takes its own part of them. */
const ALL_RULES = loadPolicies(
  [{ path: 'p.cedar', text: pairs.flatMap((pair) => [ruleText('permit', pair), ruleText('forbid', pair)]).join('\n') }],
  INVENTORY,
);

function implementation(w: World): string {
  const chosen = new Set([
    ...w.permitted.map((pair) => `permit ${pair}`),
    ...w.forbidden.map((pair) => `forbid ${pair}`),
  ]);
  const engine = createCedarEngine({ ...ALL_RULES, policies: ALL_RULES.policies.filter(({ id }) => chosen.has(id)) });
  const person = (subject: string) => ({ issuer: 'idp', subject, groups: w.inGroup ? ['g', 'h'] : ['h'] });
  const user = w.user === undefined ? undefined : person(w.user);
  const taskUser = w.taskUser === 'same' ? user : w.taskUser === 'none' ? undefined : person(w.taskUser);
  const tool = governed[w.tool] as GovernedTool;
  const request = {
    principal: samplePrincipal({ user, agent: agentId(w.agent), actors: w.actors.map(agentId) }),
    task: sampleTask({
      agent: agentId(w.agent),
      user: taskUser,
      state: w.state,
      bounds: { tools: w.taskTools, actionClasses: w.taskClasses, resources: [], calls: 10 },
    }),
    template: sampleTemplate({
      agents: w.templateAgents.map(agentId),
      requiresUser: w.requiresUser,
      bounds: { tools: w.templateTools, actionClasses: w.templateClasses, resources: [], calls: w.templateCalls },
    }),
    tool: { ...tool, status: w.status, profile: w.status === 'undescribed' ? undefined : tool.profile },
    args: w.args,
    callsLeft: w.callsLeft,
  };
  const decider = createDecider({
    engine: () => engine,
    environment: 'prod',
    labelsOf: () => NO_LABELS,
    clock: () => w.now,
  });
  const decision = w.action === 'call' ? decider.decideCall(request) : decider.decideDiscovery(request);
  engine.release();
  if ('then' in decision) throw new Error('the decision is not synchronous');
  return decision.verdict;
}

test('D3 D6 a decision permits exactly when every set of the reference model holds the tool', () => {
  const seen = { permit: 0, deny: 0 };
  fc.assert(
    fc.property(world, (w) => {
      const expected = reference(w) ? 'permit' : 'deny';
      seen[expected] += 1;
      expect(implementation(w)).toBe(expected);
    }),
    { numRuns: 600 },
  );
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(30);
}, 120_000);
