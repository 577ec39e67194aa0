import { expect, test } from 'vitest';
import { type CedarEngineOptions, createCedarEngine } from '../../src/adapters/policy/cedar-engine.ts';
import { type LoadedPolicies, loadPolicies } from '../../src/adapters/policy/load-policies.ts';
import type { Decision } from '../../src/domain/decision.ts';
import { messageOf } from '../../src/domain/errors.ts';
import type { Principal } from '../../src/domain/principal.ts';
import { createDecider } from '../../src/policy/decide.ts';
import { createDraw, type Draw } from './reference/draw.ts';
import { drawEstate, itemsOf } from './reference/draw-estate.ts';
import { drawBroadPermit, drawFailingPolicy, drawPolicy } from './reference/draw-policy.ts';
import { drawQuestion } from './reference/draw-question.ts';
import { judgeRequest } from './reference/judge-request.ts';
import { type Profiles, toCall, toInventory, toLabels, toPrincipal, toProfile } from './reference/to-product.ts';
import type { Estate, Policy, Question, Verdict } from './reference/world.ts';
import { writeCedar } from './reference/write-cedar.ts';

/**
 * D6: what the gateway decides is what a model of the documentation says, which shares no code with it and knows nothing of slices, programs,
 * reuse or Cedar. `REMIT_D6_SEED` repeats a run, `REMIT_D6_REQUESTS` asks
 * more of it, or less.
 */

const SEED = Number(process.env.REMIT_D6_SEED ?? Math.floor(Math.random() * 2 ** 31));
const REQUESTS = Number(process.env.REMIT_D6_REQUESTS ?? 100_000);
const SETS_PER_ESTATE = 40;
const REQUESTS_PER_SET = 200;
const POOL = 48;

/** How engines are used: as they are in service, without evaluation in process, and without anything kept. */
const WAYS: readonly Partial<CedarEngineOptions>[] = [
  {},
  {},
  {},
  {},
  { compile: false },
  { compile: false },
  { compile: false, reuseLimit: 8 },
  { compile: false, reuse: false },
];

interface Prepared {
  readonly estate: Estate;
  readonly profiles: Profiles;
  readonly loaded: LoadedPolicies;
  readonly policies: readonly Policy[];
}

test(`D6 the decision is the reference model's on ${REQUESTS} random requests`, () => {
  console.info(`seed of the reference model: ${SEED}`);
  const draw = createDraw(SEED);
  const seen = new Map<string, number>();
  for (let asked = 0; asked < REQUESTS; ) {
    const prepared = prepare(draw);
    for (let set = 0; set < SETS_PER_ESTATE; set++, asked += REQUESTS_PER_SET) askOneSet(draw, prepared, seen);
  }
  // Each gate and each verdict of policy must have decided often enough, or the property says little.
  for (const [what, least] of Object.entries(REQUESTS < 100_000 ? {} : LEAST)) {
    expect(seen.get(what) ?? 0, `${what}: ${JSON.stringify([...seen])}`).toBeGreaterThan(least);
  }
}, 300_000);

const LEAST: Readonly<Record<string, number>> = {
  'permit call': 3_000,
  'permit discover': 1_000,
  'step_up call': 300,
  'deny user_policy': 1_000,
  'deny agent_policy': 1_000,
  'deny actor_policy': 200,
  'deny by a failing policy': 300,
  'deny remit:clock': 50,
  'deny remit:quarantined': 50,
  'deny remit:suspended': 50,
  'deny remit:undescribed': 50,
  'deny remit:task-principal': 500,
  'deny remit:task-ended': 300,
  'deny remit:task-tool': 300,
  'deny remit:task-class': 100,
  'deny remit:template': 500,
  'deny remit:budget': 500,
  'deny remit:arguments': 300,
};

function prepare(draw: Draw): Prepared {
  const estate = drawEstate(draw);
  const profiles = new Map(itemsOf(estate).map(({ profile }) => [profile, toProfile(profile)]));
  const inventory = toInventory(estate, profiles);
  const drawn = Array.from({ length: POOL }, (_, at) =>
    at % 8 === 0 ? drawBroadPermit(draw, `p${at}`) : (at < 3 ? drawFailingPolicy : drawPolicy)(draw, estate, `p${at}`),
  );
  const { loaded, policies } = loadValid(drawn, (texts) => loadPolicies([{ path: 'a.cedar', text: texts }], inventory));
  return { estate, profiles, loaded, policies };
}

/** Without those that strict validation refuses, such as one that can never apply: they never get to decide. */
function loadValid(drawn: readonly Policy[], load: (text: string) => LoadedPolicies) {
  let policies = drawn;
  for (;;) {
    try {
      return { policies, loaded: load(policies.map(writeCedar).join('\n')) };
    } catch (error) {
      const refused = new Set([...messageOf(error).matchAll(/: policy (p\d+): /g)].map(([, id]) => id));
      const left = policies.filter(({ id }) => !refused.has(id));
      if (left.length === policies.length || left.length < POOL / 2) throw error;
      policies = left;
    }
  }
}

function askOneSet(draw: Draw, { estate, profiles, loaded, policies }: Prepared, seen: Map<string, number>): void {
  const share = 2 + draw.below(6);
  const chosen = policies.filter(() => draw.onceIn(share));
  const ids = new Set(chosen.map(({ id }) => id));
  const faults: unknown[] = [];
  const nothing = () => undefined;
  const log = { debug: nothing, info: nothing, warn: nothing, error: (...entry: unknown[]) => faults.push(entry) };
  const engine = createCedarEngine({
    ...loaded,
    policies: loaded.policies.filter(({ id }) => ids.has(id)),
    ...draw.of(WAYS),
    log,
  });
  let question: Question | undefined;
  const current = { environment: '', now: 0 };
  const deciders = new Map(
    ['prod', 'dev'].map((environment) => [
      environment,
      createDecider({
        engine: () => engine,
        environment,
        labelsOf: () => toLabels(question as Question),
        clock: () => current.now,
        log,
      }),
    ]),
  );
  let principal: Principal | undefined;
  for (let count = 0; count < REQUESTS_PER_SET; count++) {
    const before = question;
    question = drawQuestion(draw, estate, before);
    // The same caller comes again as the same object, as an authenticated session's does.
    if (principal === undefined || question.caller !== before?.caller) principal = Object.freeze(toPrincipal(question));
    current.now = question.now;
    const decider = deciders.get(question.environment);
    const call = toCall(question, principal, profiles);
    const decision = (
      question.action === 'call' ? decider?.decideCall(call) : decider?.decideDiscovery(call)
    ) as Decision;
    const expected = judgeRequest(estate, chosen, question);
    const difference = compare(decision, expected);
    if (difference !== undefined || faults.length > 0) {
      const policiesText = chosen.map(writeCedar).join('\n');
      throw new Error(
        `seed ${SEED}: ${difference ?? 'a fault'}\n${policiesText}\n${JSON.stringify({ question, decision, expected, faults }, write, 1)}`,
      );
    }
    note(seen, question, expected);
  }
  engine.release();
}

const write = (_: string, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value);

/** What is different; undefined where nothing is. */
function compare(decision: Decision, expected: Verdict): string | undefined {
  const { verdict, gate, policies, reason, nextStep, stepUp } = decision;
  if (verdict !== expected.verdict || gate !== expected.gate) return `${verdict} at ${gate}`;
  if (expected.policies !== undefined && sorted(policies) !== sorted(expected.policies)) return `by ${policies.join()}`;
  if (expected.reason !== undefined && reason !== expected.reason) return `because ${reason}`;
  if (expected.next !== undefined && nextStep !== expected.next) return `next ${nextStep}`;
  const terms = (
    list: readonly {
      by: string;
      groups: readonly string[];
      count: number;
      expiresSeconds: number;
      limit: number;
      barred: readonly string[];
    }[],
  ) =>
    sorted(
      list.map((one) => JSON.stringify([one.by, one.groups, one.count, one.expiresSeconds, one.limit, one.barred])),
    );
  return terms(stepUp?.terms ?? []) === terms(expected.terms) ? undefined : 'other terms';
}

const sorted = (list: readonly string[]): string => [...list].sort().join(' ');

function note(seen: Map<string, number>, { action }: Question, { verdict, gate, policies }: Verdict): void {
  const outside = policies?.find((id) => id.startsWith('remit:'));
  const what = verdict !== 'deny' ? action : (outside ?? (policies === undefined ? 'by a failing policy' : gate));
  const key = `${verdict} ${what}`;
  seen.set(key, (seen.get(key) ?? 0) + 1);
}
