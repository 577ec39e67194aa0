import { policyToJson } from '@cedar-policy/cedar-wasm/nodejs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cedar } from '../../src/adapters/policy/cedar.ts';
import { createCedarEngine } from '../../src/adapters/policy/cedar-engine.ts';
import { uid } from '../../src/adapters/policy/cedar-names.ts';
import { readReferences } from '../../src/adapters/policy/cedar-references.ts';
import { buildSchema } from '../../src/adapters/policy/cedar-schema.ts';
import { compileSlice } from '../../src/adapters/policy/compile-slice.ts';
import { compileLike } from '../../src/adapters/policy/like-pattern.ts';
import type { LoadedPolicy } from '../../src/adapters/policy/load-policies.ts';
import { indexInventory } from '../../src/adapters/policy/policy-inventory.ts';
import type { AccessRequest } from '../../src/domain/decision.ts';
import { agentId, templateId } from '../../src/domain/ids.ts';
import { NO_RISK } from '../../src/domain/risk.ts';
import { INVENTORY, PAY, QUERY, READ_FILE, samplePrincipal, sampleRequest, sampleTask } from './samples.ts';

/**
 * What is evaluated in process must be what Cedar says. The policies here were never validated: types are mixed, attributes are missing, and
 * much of it errs, so that finding no answer is tried as hard as finding one.
 */

const ESTATE = indexInventory(INVENTORY);
const SCHEMA = buildSchema(INVENTORY);

const characters = fc.constantFrom('a', 'b', 'a', 'b', '*', '\\', '"', 'é', '😀', '\u{10ffff}', '\uffff', '\0', ' ');
const text = fc.array(characters, { maxLength: 6 }).map((all) => all.join(''));
const quote = (value: string): string =>
  `"${[...value].map((one) => (/[\w ]/.test(one) ? one : `\\u{${(one.codePointAt(0) as number).toString(16)}}`)).join('')}"`;
const pattern = fc
  .array(fc.oneof(characters, fc.constant('wild')), { maxLength: 6 })
  .map(
    (parts) =>
      `"${parts.map((one) => (one === 'wild' ? '*' : one === '*' ? '\\*' : quote(one).slice(1, -1))).join('')}"`,
  );
const long = fc.oneof(fc.integer({ min: -2, max: 8 }), fc.maxSafeInteger()).map(String);

const leaf = fc.oneof(
  text.map(quote),
  long,
  fc.constantFrom('true', 'false'),
  fc.constantFrom(
    'context.args.sql',
    'context.args.sql',
    'context.args.limit',
    'context.args.path',
    'context.args.tags',
    'context.args.amount',
    'context.args.dry',
    'context.environment',
    'context.labels.trust',
    'context.labels.dataClasses',
    'context.labels.nothing',
    'context.risk.task',
    'context.risk.agent',
    'context.risk.nothing',
    'context.provenance.path',
    'context.provenance.sql',
    'resource.sink',
    'context.task.purpose',
    'context.task.template',
    'context.task.expiresAt',
    'context.task.nothing',
    'context.user.subject',
    'context.user',
    'principal',
    'principal.zone',
    'resource',
    'resource.actionClass',
    'resource.dataClasses',
    'resource.reversible',
    'resource.connector',
    'resource.connector.zone',
    'action',
    'Remit::Agent::"orders-bot"',
    'Remit::Agent::"nobody".zone',
    'Remit::Tool::"files/read".connector',
    'Remit::User::"idp#alice"',
    'Remit::Group::"idp#support"',
    'Remit::Connector::"files".owner',
  ),
);
const has = fc.constantFrom(
  'context has user',
  'context has user.subject',
  'context has user.nothing',
  'context.user has subject',
  'context has args',
  'context has args.limit',
  'context.args has limit',
  'context.args has tags',
  'context has task.purpose',
  'context.task has nothing',
  'context has environment',
  'context has labels',
  'context has risk.task',
  'context.risk has nothing',
  'context has risk',
  'context has labels.trust',
  'context.labels has nothing',
  'context has provenance.path',
  'context.provenance has path',
  'context has nothing.more',
  'principal has zone',
  'resource has owner',
  'action has zone',
  'context.environment has zone',
);
const entity = fc.constantFrom(
  'Remit::Group::"idp#support"',
  'Remit::Group::"idp#finance"',
  'Remit::User::"idp#alice"',
  'Remit::Agent::"orders-bot"',
  'Remit::Connector::"shop_db"',
  'Remit::Tool::"files/read"',
  'Remit::Action::"read"',
  'Remit::Action::"call"',
  'Remit::Action::"shop_db/query"',
);
const left = fc.oneof({ arbitrary: leaf, weight: 3 }, { arbitrary: entity, weight: 1 });

const { expression } = fc.letrec<{ expression: string; condition: string }>((tie) => ({
  condition: fc.oneof(
    { arbitrary: has, weight: 3 },
    { arbitrary: leaf, weight: 1 },
    { arbitrary: fc.tuple(leaf, pattern).map(([one, like]) => `${one} like ${like}`), weight: 3 },
    {
      arbitrary: fc
        .tuple(leaf, fc.constantFrom('==', '!=', '<', '<=', '>', '>='), leaf)
        .map(([one, operator, other]) => `${one} ${operator} ${other}`),
      weight: 3,
    },
    { arbitrary: fc.tuple(left, entity).map(([one, other]) => `${one} in ${other}`), weight: 2 },
    {
      arbitrary: fc.tuple(left, fc.array(entity, { maxLength: 3 })).map(([one, all]) => `${one} in [${all.join()}]`),
      weight: 2,
    },
    {
      arbitrary: fc
        .tuple(left, fc.constantFrom('User', 'Agent', 'Tool', 'Action'), fc.option(entity))
        .map(([one, type, within]) => `${one} is Remit::${type}${within === null ? '' : ` in ${within}`}`),
      weight: 2,
    },
    {
      arbitrary: fc
        .tuple(
          fc.oneof(
            fc.constantFrom('context.args.tags', 'resource.dataClasses', 'context.labels.zones'),
            fc.array(leaf, { maxLength: 3 }).map((all) => `[${all.join()}]`),
          ),
          fc.constantFrom('contains', 'containsAll', 'containsAny'),
          fc.oneof(
            leaf,
            fc.array(leaf, { maxLength: 3 }).map((all) => `[${all.join()}]`),
          ),
        )
        .map(([set, method, of]) => `${set}.${method}(${of})`),
      weight: 2,
    },
    { arbitrary: fc.constantFrom('context.args.tags.isEmpty()', 'resource.dataClasses.isEmpty()'), weight: 1 },
    { arbitrary: fc.constantFrom('context.args.amount + 1 > 3', '{a: 1} == {a: 1}'), weight: 1 },
  ),
  expression: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    tie('condition'),
    fc.tuple(tie('expression'), tie('expression')).map(([one, other]) => `(${one}) && (${other})`),
    fc.tuple(tie('expression'), tie('expression')).map(([one, other]) => `(${one}) || (${other})`),
    tie('expression').map((one) => `!(${one})`),
    fc
      .tuple(tie('expression'), tie('expression'), tie('expression'))
      .map(([test, yes, no]) => `if (${test}) then (${yes}) else (${no})`),
  ),
}));

const principalScope = fc.constantFrom(
  'principal',
  'principal',
  'principal in Remit::Group::"idp#support"',
  'principal is Remit::User in Remit::Group::"idp#finance"',
);
const policyText = fc
  .record({
    effect: fc.constantFrom('permit', 'permit', 'forbid'),
    principalScope,
    clauses: fc.array(fc.tuple(fc.constantFrom('when', 'unless'), expression), { maxLength: 2 }),
  })
  .map(
    ({ effect, principalScope, clauses }) =>
      `${effect} (${principalScope}, action, resource) ${clauses.map(([kind, one]) => `${kind} { ${one} }`).join(' ')};`,
  );

/** As it would be loaded, but for the validation. */
function load(texts: readonly string[]): LoadedPolicy[] {
  return texts.map((text, index) => {
    const answer = policyToJson(text);
    if (answer.type === 'failure') throw new Error(`${text}: ${answer.errors[0]?.message}`);
    const { json } = answer;
    const references = readReferences(json);
    const more = { file: 'p.cedar', line: 1, reason: undefined, nextStep: undefined, stepUp: undefined };
    return { id: `p${index}`, effect: json.effect, text, json, references, ...more };
  });
}

const values: Record<string, fc.Arbitrary<AccessRequest['context']['arguments']>> = {
  [QUERY]: fc.record({ sql: text, limit: fc.integer({ min: -2, max: 8 }) }, { requiredKeys: ['sql'] }),
  [PAY]: fc.record({ amount: fc.maxSafeInteger(), dry: fc.boolean() }, { requiredKeys: ['amount'] }),
  [READ_FILE]: fc.record({ path: text, tags: fc.array(text, { maxLength: 3 }) }, { requiredKeys: ['path'] }),
};
const request: fc.Arbitrary<AccessRequest> = fc
  .record({ ref: fc.constantFrom(QUERY, PAY, READ_FILE), action: fc.constantFrom('call', 'call', 'discover') })
  .chain(({ ref, action }) =>
    fc
      .record({
        subject: fc.oneof(
          fc.constantFrom('orders-bot', 'helper').map((id) => ({ kind: 'agent' as const, id, groups: [] })),
          fc.record({
            kind: fc.constant('user' as const),
            id: fc.constantFrom('idp#alice', 'idp#bob'),
            groups: fc.subarray(['idp#support', 'idp#finance', 'idp#unmentioned']),
          }),
        ),
        args:
          action === 'call' ? (values[ref] as fc.Arbitrary<AccessRequest['context']['arguments']>) : fc.constant({}),
        user: fc.constantFrom(undefined, 'alice'),
        environment: fc.constantFrom('prod', 'ab'),
        purpose: text,
        labels: fc.record({
          trust: fc.constantFrom('trusted' as const, 'untrusted' as const),
          dataClasses: fc.subarray(['a', 'b']),
          zones: fc.subarray(['a', 'b']),
        }),
        provenance: fc.constantFrom({}, { path: 'user' as const }, { sql: 'text' as const }),
        risk: fc.constantFrom(NO_RISK, {
          task: 'high',
          connector: 'low',
          agent: 'critical',
          user: 'elevated',
        } as const),
      })
      .map(({ subject, args, user, environment, purpose, labels, provenance, risk }) => {
        const person = user === undefined ? undefined : { issuer: 'idp', subject: user, groups: [] };
        return sampleRequest(ref, {
          subject,
          action: action as AccessRequest['action'],
          context: {
            principal: samplePrincipal({ user: person, agent: agentId('orders-bot') }),
            task: sampleTask({ template: templateId('orders'), purpose, user: person }),
            environment,
            arguments: args,
            labelsOf: () => labels,
            provenance,
            risk,
          },
        });
      }),
  );

function compileFor(policies: readonly LoadedPolicy[], { subject, action, resource }: AccessRequest) {
  // What the slicer does: a policy for a group is none for an agent.
  const chosen = policies.filter(({ text }) => subject.kind === 'user' || !/^\w+ \(principal i/.test(text));
  return compileSlice(chosen, {
    estate: ESTATE,
    kind: subject.kind,
    isCall: action === 'call',
    action: uid('Action', action === 'discover' ? 'discover' : resource.tool),
    resource: uid('Tool', resource.tool),
  });
}

test('D6 what is evaluated in process is what Cedar says, and nothing is where Cedar finds an error', () => {
  const seen = { permit: 0, deny: 0, byDefault: 0, left: 0, notRead: 0, failed: 0 };
  fc.assert(
    fc.property(
      fc.array(policyText, { minLength: 1, maxLength: 3 }),
      fc.array(request, { minLength: 4, maxLength: 8 }),
      (texts, requests) => {
        const policies = load(texts);
        const engine = createCedarEngine({
          schema: SCHEMA,
          inventory: INVENTORY,
          policies,
          reuse: false,
          compile: false,
        });
        try {
          for (const one of requests) {
            const whole = engine.evaluate(one);
            const hasFailed = whole.reason.includes('failed on this request');
            const program = compileFor(policies, one);
            const answer = program?.(one);
            if (hasFailed) seen.failed += 1;
            if (program === undefined) seen.notRead += 1;
            else if (answer === undefined) seen.left += 1;
            else {
              seen[answer.policies.length === 0 ? 'byDefault' : answer.verdict === 'permit' ? 'permit' : 'deny'] += 1;
              expect(answer).toEqual(whole);
              // The same answer is the same object.
              if (answer.policies.length > 0) expect(program(one)).toBe(answer);
            }
          }
        } finally {
          engine.release();
        }
      },
    ),
    { numRuns: 1_200 },
  );
  // Each way must have been tried, or the property says little.
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(100);
}, 180_000);

test('D6 like finds what Cedar finds', () => {
  fc.assert(
    fc.property(fc.uniqueArray(pattern, { minLength: 8, maxLength: 8 }), text, (patterns, value) => {
      const policies = load(
        patterns.map((one) => `permit (principal, action, resource) when { context.args.sql like ${one} };`),
      );
      const engine = createCedarEngine({
        schema: SCHEMA,
        inventory: INVENTORY,
        policies,
        compile: false,
      });
      const context = { ...sampleRequest(QUERY).context, arguments: { sql: value } };
      const answer = engine.evaluate(sampleRequest(QUERY, { context }));
      engine.release();
      const found = policies.filter(({ json }) => {
        const body = json.conditions[0]?.body as { like: { pattern: unknown } };
        return compileLike(body.like.pattern)?.(value);
      });
      expect(found.map(({ id }) => id)).toEqual(answer.policies);
    }),
    { numRuns: 500 },
  );
}, 60_000);

describe('what is left to Cedar', () => {
  const program = (condition: string, more: Partial<AccessRequest['context']> = {}) => {
    const one = sampleRequest(QUERY, { context: { ...sampleRequest(QUERY).context, ...more } });
    return compileFor(load([`permit (principal, action, resource) when { ${condition} };`]), one)?.(one);
  };

  test.each([
    ['arithmetic, which overflows', 'context.args.limit + 1 > 1'],
    ['an attribute that is not there', 'context.args.limit > 1'],
    ['a type that does not fit', 'context.args.sql > 1'],
    ['two sets', '[context.args.sql] == ["select 1"]'],
    ['a record', 'context.task == {a: 1}'],
    ['a condition that is no truth value', 'context.args.sql'],
    ['an extension', 'ip(context.args.sql).isLoopback()'],
    ['a depth that Cedar may not allow', `${'!('.repeat(60)}context.args.sql == "a"${')'.repeat(60)}`],
  ])('D1 %s', (_, condition) => {
    expect(program(condition)).toBeUndefined();
  });

  test('D4 text without a UTF-8 form, and numbers that are not exact', () => {
    expect(program('context.args.sql == "a"', { arguments: { sql: '\ud800' } })).toBeUndefined();
    expect(program('context.args.limit > 1', { arguments: { sql: '', limit: 2 ** 53 } })).toBeUndefined();
    expect(program('context.args.limit > 1', { arguments: { sql: '', limit: 1.5 } })).toBeUndefined();
    expect(program('context.args.limit > 1', { arguments: { sql: '', limit: 2 } })).toMatchObject({
      verdict: 'permit',
    });
  });

  test('D1 a name that JavaScript knows is no argument', () => {
    expect(program('context.args.toString == "a"')).toBeUndefined();
    expect(program('context.args has toString')).toMatchObject({ verdict: 'deny' });
    expect(program('resource has constructor')).toMatchObject({ verdict: 'deny' });
  });
});

describe('D1 both are asked now and then', () => {
  test('where they differ the call is denied, the log says so, and Cedar decides alone', () => {
    const errors: object[] = [];
    const nothing = () => undefined;
    const log = { debug: nothing, info: nothing, warn: nothing, error: (fields: object) => void errors.push(fields) };
    let isLying = true;
    const response = { decision: 'deny' as const, diagnostics: { reason: [], errors: [] } };
    const engine = createCedarEngine(
      {
        schema: SCHEMA,
        inventory: INVENTORY,
        policies: load(['permit (principal, action, resource);']),
        reuse: false,
        log,
      },
      {
        ...cedar,
        statefulIsAuthorized: (call) =>
          isLying ? { type: 'success', response, warnings: [] } : cedar.statefulIsAuthorized(call),
      },
    );
    expect(engine.evaluate(sampleRequest(QUERY)).verdict).toBe('deny');
    expect(errors).toHaveLength(1);
    expect(engine.evaluate(sampleRequest(QUERY)).verdict).toBe('deny');
    isLying = false;
    expect(engine.evaluate(sampleRequest(QUERY)).verdict).toBe('permit');
    expect(engine.counts).toEqual({ asked: 3, reused: 0, compiled: 1 });
    engine.release();
  });

  test('at the first question of its kind, and at each 1,024th', () => {
    const engine = createCedarEngine({
      schema: SCHEMA,
      inventory: INVENTORY,
      policies: load(['permit (principal, action, resource) when { context.args.sql != "x" };']),
      reuse: false,
    });
    for (let index = 0; index < 2_049; index += 1) expect(engine.evaluate(sampleRequest(QUERY)).verdict).toBe('permit');
    expect(engine.counts).toEqual({ asked: 3, reused: 0, compiled: 2_049 });
    engine.release();
  });
});
