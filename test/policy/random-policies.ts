import { validate } from '@cedar-policy/cedar-wasm/nodejs';
import fc from 'fast-check';
import { buildSchema } from '../../src/adapters/policy/cedar-schema.ts';
import { type LoadedPolicy, loadPolicies } from '../../src/adapters/policy/load-policies.ts';
import type { AccessRequest } from '../../src/domain/decision.ts';
import { NO_LABELS } from '../../src/domain/flow.ts';
import { agentId, type ToolRef, taskId, templateId } from '../../src/domain/ids.ts';
import { NO_RISK } from '../../src/domain/risk.ts';
import { INVENTORY, PAY, QUERY, READ_FILE, samplePrincipal, sampleRequest, sampleTask } from './samples.ts';

/** Random policies over the sample estate, valid ones only, and random requests. */

const SCHEMA = buildSchema(INVENTORY);

const principalScope = fc.constantFrom(
  'principal',
  'principal is Remit::Agent',
  'principal is Remit::User',
  'principal == Remit::Agent::"orders-bot"',
  'principal in Remit::Agent::"helper"',
  'principal == Remit::User::"idp#alice"',
  'principal in Remit::Group::"idp#support"',
  'principal is Remit::User in Remit::Group::"idp#finance"',
  'principal is Remit::Agent in Remit::Agent::"orders-bot"',
);
const actionScope = fc.constantFrom(
  'action',
  'action in Remit::Action::"call"',
  'action in Remit::Action::"read"',
  'action in [Remit::Action::"financial", Remit::Action::"discover"]',
  'action == Remit::Action::"discover"',
  'action == Remit::Action::"shop_db/query"',
  'action in [Remit::Action::"shop_db/query", Remit::Action::"files/read"]',
  'action == Remit::Action::"shop_db/pay"',
);
const resourceScope = fc.constantFrom(
  'resource',
  'resource',
  'resource == Remit::Tool::"shop_db/query"',
  'resource in Remit::Connector::"shop_db"',
  'resource is Remit::Tool in Remit::Connector::"files"',
  'resource in Remit::Tool::"files/read"',
);
/** Errs at run time on any amount but nought. */
export const OVERFLOW = 'context has args.amount && context.args.amount * 9007199254740991 * 9007199254740991 > 0';
const condition = fc.constantFrom(
  'true',
  OVERFLOW,
  OVERFLOW,
  OVERFLOW,
  'context.environment == "prod"',
  'context has user && context.user.subject == "alice"',
  'context has args && context.args has sql && context.args.sql like "select*"',
  'context has args.path && context.args.path like "/srv/*"',
  'context has args && context.args has tags && context.args.tags.contains("a")',
  'context.task.template == "orders"',
  'context.task.expiresAt - context.task.startedAt > 5',
  '(if context has user then context.task else context.task).purpose == "p"',
  'resource.dataClasses.contains("personal")',
  'resource.connector.zone == "internal"',
  'resource in Remit::Connector::"files"',
  'resource.reversible',
  'resource is Remit::Tool in Remit::Connector::"shop_db"',
  'principal is Remit::User in Remit::Group::"idp#finance"',
  'principal has zone && principal.zone == "internal"',
  'principal is Remit::Agent && principal.environment == resource.connector.environment',
  'principal in Remit::Group::"idp#support"',
  'principal in [Remit::Group::"idp#finance", Remit::Group::"idp#other"]',
  'principal == Remit::Agent::"helper"',
  'action in Remit::Action::"call"',
  'action in [Remit::Action::"read", Remit::Action::"discover"]',
  'action == Remit::Action::"shop_db/pay"',
  'Remit::Agent::"orders-bot".zone == "internal"',
  'Remit::Tool::"files/read" in Remit::Connector::"files"',
  'Remit::Tool::"files/read".connector.owner == "it"',
  '{a: principal, b: context.environment} == {a: principal, b: "prod"}',
);
const clause = fc.record({
  kind: fc.constantFrom('when', 'unless'),
  left: condition,
  operator: fc.constantFrom('&&', '||'),
  right: condition,
});
const policy = fc
  .record({
    effect: fc.constantFrom('permit', 'permit', 'forbid'),
    principalScope,
    actionScope,
    resourceScope,
    clauses: fc.array(clause, { maxLength: 2 }),
  })
  .map(({ effect, principalScope, actionScope, resourceScope, clauses }) => {
    const conditions = clauses.map(({ kind, left, operator, right }) => `${kind} { (${left}) ${operator} (${right}) }`);
    return `${effect} (${principalScope}, ${actionScope}, ${resourceScope}) ${conditions.join(' ')};`;
  })
  .filter(isValid);

/** A policy that strict validation refuses proves nothing here. */
function isValid(text: string): boolean {
  const answer = validate({ schema: SCHEMA, policies: { staticPolicies: { p: text } } });
  return answer.type === 'success' && answer.validationErrors.length + answer.validationWarnings.length === 0;
}

/** Validated once, because that is slow; each run takes a few of them. The last two err on any call of `pay`. */
export const POOL_SIZE = 200;
export const POOL = loadPolicies(
  [
    {
      path: 'p.cedar',
      text: [
        ...fc.sample(policy, POOL_SIZE),
        `permit (principal, action == Remit::Action::"shop_db/pay", resource) when { ${OVERFLOW} };`,
        `forbid (principal, action == Remit::Action::"shop_db/pay", resource) when { ${OVERFLOW} };`,
      ].join('\n'),
    },
  ],
  INVENTORY,
);
export const policies = fc
  .tuple(
    fc.uniqueArray(fc.nat(POOL_SIZE - 1), { minLength: 1, maxLength: 6 }),
    fc.constantFrom<number[]>([], [], [POOL_SIZE], [POOL_SIZE + 1]),
  )
  .map(([some, erring]) => [...some, ...erring].map((index) => POOL.policies[index] as LoadedPolicy));

const subject: fc.Arbitrary<AccessRequest['subject']> = fc.oneof(
  fc.constantFrom('orders-bot', 'helper').map((id) => ({ kind: 'agent' as const, id, groups: [] })),
  fc.record({
    kind: fc.constant('user' as const),
    id: fc.constantFrom('idp#alice', 'idp#bob'),
    groups: fc.subarray(['idp#support', 'idp#finance', 'idp#unmentioned']),
  }),
);
const args: Record<string, fc.Arbitrary<AccessRequest['context']['arguments']>> = {
  [QUERY]: fc.constantFrom({ sql: 'select 1' }, { sql: 'drop', limit: 3 }),
  [PAY]: fc.constantFrom({ amount: 0 }, { amount: 7, dry: true }),
  [READ_FILE]: fc.constantFrom({ path: '/srv/a' }, { path: '/etc/b', tags: ['a'] }, { path: '/srv/c', tags: [] }),
};
export const request: fc.Arbitrary<AccessRequest> = fc
  .record({
    ref: fc.constantFrom<ToolRef>(QUERY, PAY, READ_FILE),
    action: fc.constantFrom('call' as const, 'discover' as const),
  })
  .chain(({ ref, action }) =>
    fc
      .record({
        subject,
        values:
          action === 'call' ? (args[ref] as fc.Arbitrary<AccessRequest['context']['arguments']>) : fc.constant({}),
        user: fc.constantFrom(undefined, 'alice', 'bob'),
        environment: fc.constantFrom('prod', 'dev'),
        template: fc.constantFrom('orders', 'other'),
        purpose: fc.constantFrom('p', 'q'),
        lasting: fc.constantFrom(3, 600_000),
      })
      .map(({ subject, values, user, environment, template, purpose, lasting }) => {
        const person = user === undefined ? undefined : { issuer: 'idp', subject: user, groups: [] };
        const task = sampleTask({ id: taskId('tsk_9'), template: templateId(template), purpose, user: person });
        return sampleRequest(ref, {
          subject,
          action,
          context: {
            principal: samplePrincipal({ user: person, agent: agentId('orders-bot') }),
            task: { ...task, expiresAt: task.startedAt + lasting },
            environment,
            arguments: values,
            labelsOf: () => NO_LABELS,
            provenance: {},
            risk: NO_RISK,
          },
        });
      }),
  );
