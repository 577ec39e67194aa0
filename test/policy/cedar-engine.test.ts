import { afterEach, describe, expect, test } from 'vitest';
import { createAnswerCache } from '../../src/adapters/policy/answer-cache.ts';
import { type CedarRuntime, cedar } from '../../src/adapters/policy/cedar.ts';
import {
  type CedarEngine,
  type CedarEngineOptions,
  createCedarEngine,
} from '../../src/adapters/policy/cedar-engine.ts';
import { loadPolicies } from '../../src/adapters/policy/load-policies.ts';
import type { PolicyInventory } from '../../src/adapters/policy/policy-inventory.ts';
import { runPolicyEngineSuite, type SuiteRule } from '../suites/policy-engine-suite.ts';
import { ALICE, INVENTORY, PAY, QUERY, READ_FILE, samplePrincipal, sampleRequest, sampleTask } from './samples.ts';

const engines: CedarEngine[] = [];
afterEach(() => {
  for (const engine of engines.splice(0)) engine.release();
});

function make(
  text: string,
  more: Partial<CedarEngineOptions> = {},
  runtime: CedarRuntime = cedar,
  inventory: PolicyInventory = INVENTORY,
): CedarEngine {
  const engine = createCedarEngine({ ...loadPolicies([{ path: 'test.cedar', text }], inventory), ...more }, runtime);
  engines.push(engine);
  return engine;
}

const PERMIT_ALL = '@id("all") permit (principal, action, resource);';
/** Passes strict validation, and overflows on any amount but nought. */
const OVERFLOWING = `@id("overflows") forbid (principal, action == Remit::Action::"shop_db/pay", resource)
  when { context.args.amount * 9007199254740991 * 9007199254740991 > 0 };`;

function ruleText(rule: SuiteRule): string {
  const kind = { agent: 'Agent', user: 'User', group: 'Group' }[rule.who.kind];
  const action = rule.action === 'discover' ? 'discover' : 'shop_db/pay';
  return `@id("${rule.id}") ${rule.reason ? `@reason("${rule.reason}")` : ''} ${rule.next ? `@next("${rule.next}")` : ''}
    ${rule.effect} (principal in Remit::${kind}::"${rule.who.id}", action == Remit::Action::"${action}",
      resource == Remit::Tool::"shop_db/pay");`;
}

runPolicyEngineSuite('cedar', {
  request: sampleRequest(PAY),
  make: (rules) => make(rules.map(ruleText).join('\n')),
  makeErring: () => make(PERMIT_ALL + OVERFLOWING),
  makeBroken: () =>
    make(
      PERMIT_ALL,
      {},
      {
        ...cedar,
        statefulIsAuthorized: () => {
          throw new Error('broken');
        },
      },
    ),
});

describe('D1 faults of Cedar deny', () => {
  test('D1 Cedar alone would permit past the forbid that overflows', () => {
    const answer = cedarAlone(PERMIT_ALL + OVERFLOWING);
    expect(answer).toMatchObject({ type: 'success', response: { decision: 'allow' } });
    const engine = make(PERMIT_ALL + OVERFLOWING);
    const denied = engine.evaluate(sampleRequest(PAY));
    expect(denied).toMatchObject({ verdict: 'deny', policies: ['overflows'] });
    // The values of the call stay out of the reason.
    expect(denied.reason).not.toMatch(/9007199254740991|\b5\b/);
    expect(engine.evaluate(sampleRequest(READ_FILE)).verdict).toBe('permit');
  });

  function cedarAlone(text: string) {
    const slot = 'cedar-alone';
    expect(cedar.preparsePolicySet(slot, { staticPolicies: text }).type).toBe('success');
    const ref = (type: string, id: string) => ({ type: `Remit::${type}`, id });
    return cedar.statefulIsAuthorized({
      principal: ref('Agent', 'orders-bot'),
      action: ref('Action', PAY),
      resource: ref('Tool', PAY),
      context: { args: { amount: 5 } },
      entities: [],
      preparsedPolicySetId: slot,
    });
  }

  test('D1 a failure answer denies', () => {
    const failure = { type: 'failure' as const, errors: [], warnings: [] };
    const engine = make(PERMIT_ALL, {}, { ...cedar, statefulIsAuthorized: () => failure });
    expect(engine.evaluate(sampleRequest(PAY)).verdict).toBe('deny');
  });

  test('D1 an allow that names no policy of ours denies', () => {
    const response = { decision: 'allow' as const, diagnostics: { reason: ['somebody-elses'], errors: [] } };
    const engine = make(
      PERMIT_ALL,
      {},
      { ...cedar, statefulIsAuthorized: () => ({ type: 'success', response, warnings: [] }) },
    );
    expect(engine.evaluate(sampleRequest(PAY)).verdict).toBe('deny');
  });

  test('D1 after a trap nothing is believed any more, by any engine on that runtime', () => {
    let isFailing = true;
    const runtime: CedarRuntime = {
      ...cedar,
      statefulIsAuthorized: (call) => {
        if (isFailing) throw Object.assign(new Error('unreachable'), { name: 'RuntimeError' });
        return cedar.statefulIsAuthorized(call);
      },
    };
    const engine = make(PERMIT_ALL, {}, runtime);
    expect(engine.evaluate(sampleRequest(PAY)).verdict).toBe('deny');
    isFailing = false;
    expect(engine.evaluate(sampleRequest(PAY)).verdict).toBe('deny');
    expect(make(PERMIT_ALL, {}, runtime).evaluate(sampleRequest(PAY)).verdict).toBe('deny');
    expect(make(PERMIT_ALL).evaluate(sampleRequest(PAY)).verdict).toBe('permit');
  });

  test('D1 a fault is logged, and a log that fails does not matter', () => {
    const seen: object[] = [];
    const nothing = () => undefined;
    const log = {
      debug: nothing,
      info: nothing,
      warn: nothing,
      error: (fields: object) => {
        seen.push(fields);
        throw new Error('disk full');
      },
    };
    const runtime: CedarRuntime = {
      ...cedar,
      statefulIsAuthorized: () => {
        throw new Error('broken');
      },
    };
    expect(make(PERMIT_ALL, { log }, runtime).evaluate(sampleRequest(PAY)).verdict).toBe('deny');
    expect(seen).toEqual([{ error: 'broken' }]);
  });
});

describe('D1 requests that the policies were not made for', () => {
  test.each([
    [
      'a tool that is not described',
      { resource: { ...sampleRequest(QUERY).resource, tool: 'shop_db/drop' as typeof QUERY } },
    ],
    ['an agent that is not registered', { subject: { kind: 'agent' as const, id: 'stranger', groups: [] } }],
    [
      'another profile',
      {
        resource: {
          ...sampleRequest(QUERY).resource,
          profile: { ...sampleRequest(QUERY).resource.profile, dataClasses: [] },
        },
      },
    ],
    ['a missing argument', { context: { ...sampleRequest(QUERY).context, arguments: {} } }],
    ['an argument of another type', { context: { ...sampleRequest(QUERY).context, arguments: { sql: ['select 1'] } } }],
    ['an inexact number', { context: { ...sampleRequest(QUERY).context, arguments: { sql: '', limit: 2 ** 53 } } }],
    ['a fraction', { context: { ...sampleRequest(QUERY).context, arguments: { sql: '', limit: 1.5 } } }],
    ['an argument too many', { context: { ...sampleRequest(QUERY).context, arguments: { sql: '', more: 1 } } }],
  ])('D1 denies %s', (_, more) => {
    const engine = make(PERMIT_ALL);
    expect(engine.evaluate(sampleRequest(QUERY)).verdict).toBe('permit');
    expect(engine.evaluate(sampleRequest(QUERY, more)).verdict).toBe('deny');
  });

  test('accepts an equal profile that is another object', () => {
    const { resource } = sampleRequest(QUERY);
    const request = sampleRequest(QUERY, { resource: { ...resource, profile: structuredClone(resource.profile) } });
    expect(make(PERMIT_ALL).evaluate(request).verdict).toBe('permit');
  });
});

describe('what a policy can read', () => {
  const verdict = (condition: string, more = {}, ref = QUERY) =>
    make(`permit (principal, action == Remit::Action::"${ref}", resource) when { ${condition} };`).evaluate(
      sampleRequest(ref, more),
    ).verdict;
  const withUser = {
    context: {
      ...sampleRequest(QUERY).context,
      principal: samplePrincipal({ user: ALICE }),
      task: sampleTask({ user: ALICE }),
    },
  };

  test.each([
    ['context.args.sql == "select 1"', 'permit'],
    ['context.args.sql like "drop*"', 'deny'],
    ['context.args has limit', 'deny'],
    ['context.task.template == "orders" && context.task.purpose like "*orders"', 'permit'],
    ['context.task.expiresAt - context.task.startedAt == 601000', 'permit'],
    ['context.environment == "prod"', 'permit'],
    ['context has user', 'deny'],
    ['action in Remit::Action::"read" && action in [Remit::Action::"call"]', 'permit'],
    ['action == Remit::Action::"shop_db/query"', 'permit'],
    ['resource in Remit::Connector::"shop_db"', 'permit'],
    ['resource in Remit::Connector::"files"', 'deny'],
    ['resource is Remit::Tool in Remit::Connector::"shop_db"', 'permit'],
    ['Remit::Tool::"files/read" is Remit::Tool in Remit::Connector::"files"', 'permit'],
    ['resource.dataClasses.contains("personal") && resource.reversible && resource.actionClass == "read"', 'permit'],
    ['resource.connector.zone == "internal" && resource.connector.owner == "dba"', 'permit'],
    ['resource.connector == Remit::Connector::"shop_db"', 'permit'],
    ['Remit::Connector::"files".zone == "partner"', 'permit'],
    ['Remit::Tool::"files/read".connector.zone == "partner"', 'permit'],
    ['principal is Remit::Agent && principal.environment == "prod" && principal.zone == "internal"', 'permit'],
    ['principal is Remit::Agent && Remit::Agent::"orders-bot".zone == principal.zone', 'permit'],
    ['principal is Remit::Agent && Remit::Agent::"helper".zone == principal.zone', 'deny'],
    ['(if true then context else context).environment == "prod"', 'permit'],
    ['{a: principal, b: context.args}.b.sql == "select 1"', 'permit'],
    ['{a: context.task} == {a: context.task} && context.task.id == "tsk_1"', 'permit'],
  ])('%s: %s', (condition, expected) => {
    expect(verdict(condition)).toBe(expected);
  });

  test('classes of actions in a condition', () => {
    const engine = make(`permit (principal, action in Remit::Action::"call", resource)
      when { action in [Remit::Action::"write", Remit::Action::"financial"] };`);
    expect(engine.evaluate(sampleRequest(PAY)).verdict).toBe('permit');
    expect(engine.evaluate(sampleRequest(QUERY)).verdict).toBe('deny');
  });

  test('the user behind the call, and the fields of it', () => {
    expect(verdict('context has user && context.user.subject == "alice"', withUser)).toBe('permit');
    expect(verdict('context has user && context.user.issuer == "https://evil.example"', withUser)).toBe('deny');
    expect(verdict('context has user.subject', withUser)).toBe('permit');
  });

  test('a path outside a folder is forbidden, one inside is not', () => {
    const engine = make(`${PERMIT_ALL}
      @id("folder") forbid (principal, action == Remit::Action::"files/read", resource)
      unless { context.args.path like "/srv/reports/*" };`);
    const read = (path: string) =>
      engine.evaluate(
        sampleRequest(READ_FILE, { context: { ...sampleRequest(READ_FILE).context, arguments: { path } } }),
      );
    expect(read('/srv/reports/a').verdict).toBe('permit');
    expect(read('/etc/passwd')).toMatchObject({ verdict: 'deny', policies: ['folder'] });
    expect(read('/srv/reportsx').verdict).toBe('deny');
  });

  test('lists of text are sets', () => {
    const tags = { context: { ...sampleRequest(READ_FILE).context, arguments: { path: '/a', tags: ['b', 'c', 'b'] } } };
    expect(verdict('context.args has tags && context.args.tags.containsAll(["c", "b"])', tags, READ_FILE)).toBe(
      'permit',
    );
    expect(verdict('context.args has tags && context.args.tags.contains("d")', tags, READ_FILE)).toBe('deny');
  });
});

describe('engines side by side', () => {
  test('a new engine does not change the answers of one that is still in force', () => {
    const old = make(PERMIT_ALL, { reuse: false });
    const next = make('', { reuse: false });
    const other = make('@id("other") permit (principal, action, resource);', { reuse: false });
    expect(old.evaluate(sampleRequest(PAY))).toMatchObject({ verdict: 'permit', policies: ['all'] });
    expect(next.evaluate(sampleRequest(PAY)).verdict).toBe('deny');
    expect(other.evaluate(sampleRequest(PAY))).toMatchObject({ verdict: 'permit', policies: ['other'] });
  });

  test('D1 a released engine denies, and its slots serve the next ones', () => {
    const slots = new Set<string>();
    const runtime: CedarRuntime = {
      ...cedar,
      preparsePolicySet: (slot, set) => {
        slots.add(slot);
        return cedar.preparsePolicySet(slot, set);
      },
    };
    const first = make(PERMIT_ALL, {}, runtime);
    expect(first.evaluate(sampleRequest(PAY)).verdict).toBe('permit');
    first.release();
    first.release();
    expect(first.evaluate(sampleRequest(PAY)).verdict).toBe('deny');
    const used = slots.size;
    for (let round = 0; round < 20; round += 1) {
      const engine = make(PERMIT_ALL, {}, runtime);
      expect(engine.evaluate(sampleRequest(PAY)).verdict).toBe('permit');
      engine.release();
    }
    expect(slots.size).toBe(used);
  });
});

describe('reuse of answers', () => {
  function counting(text: string, more: Partial<CedarEngineOptions> = {}) {
    const count = { calls: 0 };
    const runtime: CedarRuntime = {
      ...cedar,
      statefulIsAuthorized: (call) => {
        count.calls += 1;
        return cedar.statefulIsAuthorized(call);
      },
    };
    return { count, engine: make(text, { compile: false, ...more }, runtime) };
  }
  const bySql = `permit (principal, action == Remit::Action::"shop_db/query", resource) when { context.args.sql == "a" };`;
  const query = (sql: string, limit?: number) =>
    sampleRequest(QUERY, {
      context: { ...sampleRequest(QUERY).context, arguments: limit === undefined ? { sql } : { sql, limit } },
    });

  test('asks again when a value changes that a policy reads, and only then', () => {
    const { engine, count } = counting(bySql);
    expect(engine.evaluate(query('a')).verdict).toBe('permit');
    expect(engine.evaluate(query('a', 3)).verdict).toBe('permit');
    expect(count.calls).toBe(1);
    expect(engine.evaluate(query('b')).verdict).toBe('deny');
    const long = 'x'.repeat(5_000);
    expect(engine.evaluate(query(`${long}1`)).verdict).toBe('deny');
    expect(engine.evaluate(query(`${long}2`)).verdict).toBe('deny');
    expect(count.calls).toBe(4);
  });

  test('another principal, group or action is another answer', () => {
    const { engine } = counting(`
      permit (principal == Remit::Agent::"orders-bot", action in Remit::Action::"call", resource);
      permit (principal in Remit::Group::"idp#g", action in Remit::Action::"call", resource);`);
    const as = (kind: 'agent' | 'user', id: string, groups: string[] = []) =>
      engine.evaluate(sampleRequest(PAY, { subject: { kind, id, groups } })).verdict;
    expect(as('agent', 'orders-bot')).toBe('permit');
    expect(as('agent', 'helper')).toBe('deny');
    expect(as('user', 'idp#u', ['idp#g'])).toBe('permit');
    expect(as('user', 'idp#u')).toBe('deny');
    expect(engine.evaluate(sampleRequest(PAY, { action: 'discover' })).verdict).toBe('deny');
  });

  test('D6 a subject, a group and a value never run into one another in what an answer is kept under', () => {
    const { engine, count } = counting(`
      permit (principal == Remit::User::"idp#u", action in Remit::Action::"call", resource);
      permit (principal in Remit::Group::"idp#g", action in Remit::Action::"call", resource);
      forbid (principal, action == Remit::Action::"shop_db/query", resource) when { context.args.sql like "*x*" };`);
    const as = (id: string, groups: string[], sql: string) =>
      engine.evaluate({ ...query(sql), subject: { kind: 'user', id, groups } }).verdict;
    expect(as('idp#u', [], 'a')).toBe('permit');
    expect(as('idp#u"],{}', [], 'a')).toBe('deny');
    expect(as('idp#v', ['idp#g'], 'a')).toBe('permit');
    expect(as('idp#v', [], 'a')).toBe('deny');
    expect(as('idp#v', ['idp#other'], 'a')).toBe('deny');
    expect(as('idp#v', ['idp#g'], 'x')).toBe('deny');
    // A group that no policy names makes no difference; all others were asked about.
    expect(count.calls).toBe(5);
    expect(engine.counts).toEqual({ asked: 5, reused: 1, compiled: 0 });
  });

  test('I3 keeps at most so many answers, and the ones that are asked for again longest', () => {
    const answer = (id: number) => ({ verdict: 'deny' as const, policies: [], reason: `${id}`, nextStep: undefined });
    const kept = createAnswerCache(10);
    for (let id = 0; id < 1_000; id += 1) {
      kept.put(`k${id}`, answer(id));
      expect(kept.get('k0')).toEqual(answer(0));
    }
    const left = Array.from({ length: 1_000 }, (_, id) => kept.get(`k${id}`)).filter((one) => one !== undefined);
    expect(left.length).toBeGreaterThanOrEqual(5);
    expect(left.length).toBeLessThanOrEqual(10);
    expect(kept.get('k999')).toEqual(answer(999));
    kept.clear();
    expect(kept.get('k999')).toBeUndefined();
  });

  test('can be turned off, is bounded, and never keeps an error', () => {
    const off = counting(bySql, { reuse: false });
    off.engine.evaluate(query('a'));
    off.engine.evaluate(query('a'));
    expect(off.count.calls).toBe(2);
    const small = counting(bySql, { reuseLimit: 2 });
    for (const sql of ['a', 'b', 'c', 'c', 'a']) small.engine.evaluate(query(sql));
    expect(small.count.calls).toBe(4);
    const erring = counting(PERMIT_ALL + OVERFLOWING);
    erring.engine.evaluate(sampleRequest(PAY));
    erring.engine.evaluate(sampleRequest(PAY));
    expect(erring.count.calls).toBe(2);
  });
});

test('the version follows the attributes of the estate too', () => {
  const changed = structuredClone(INVENTORY) as unknown as { agents: { zone: string }[] };
  (changed.agents[0] as { zone: string }).zone = 'dmz';
  const first = make(PERMIT_ALL).version;
  expect(make(PERMIT_ALL, {}, cedar, changed as unknown as PolicyInventory).version).not.toBe(first);
  expect(make(`// why\n${PERMIT_ALL}`).version).toBe(first);
});
