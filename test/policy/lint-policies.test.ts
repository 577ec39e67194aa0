import { describe, expect, it } from 'vitest';
import type { LintFinding } from '../../src/adapters/policy/lint/lint-model.ts';
import { lintPolicies } from '../../src/adapters/policy/lint/lint-policies.ts';
import { loadPolicies } from '../../src/adapters/policy/load-policies.ts';
import { agentId } from '../../src/domain/ids.ts';
import { INVENTORY, sampleTemplate } from './samples.ts';

/** `orders` lets orders-bot read and pay; nothing lets `helper` do anything, and no task reads files. */
const TEMPLATE = sampleTemplate({
  bounds: { actionClasses: ['read', 'financial'], tools: ['shop_db/*'], resources: [], calls: 10 },
});

function lint(text: string, templates = [TEMPLATE]): LintFinding[] {
  const loaded = loadPolicies([{ path: 'p.cedar', text }], INVENTORY);
  return lintPolicies({ ...loaded, templates, environment: 'prod' });
}
/** `id policy`, of one kind where it is named. */
const ids = (text: string, id?: string): string[] =>
  lint(text)
    .filter((one) => id === undefined || one.id === id)
    .map((one) => `${one.id} ${one.policy}`);

const BOT = 'principal == Remit::Agent::"orders-bot"';
const QUERY = 'action == Remit::Action::"shop_db/query"';

describe('policies that can never matter', () => {
  it.each([
    [
      'attributes that no agent has',
      `@id("p") permit (principal is Remit::Agent, ${QUERY}, resource) when { principal.environment == "moon" };`,
    ],
    [
      'attributes that no item has',
      `@id("p") permit (${BOT}, action, resource) when { resource.actionClass == "secret" };`,
    ],
    [
      'an environment that this gateway is not in',
      `@id("p") permit (${BOT}, ${QUERY}, resource) when { context.environment == "dev" };`,
    ],
    [
      'a condition behind others',
      `@id("p") permit (${BOT}, ${QUERY}, resource) when { context has user && (resource.sink == "none" && principal.zone == "moon") };`,
    ],
    [
      'a class that no item of the connector has',
      `@id("p") permit (${BOT}, action in Remit::Action::"privilege", resource in Remit::Connector::"files");`,
    ],
  ])('matches-nothing: %s', (_, text) => {
    expect(ids(text)).toContain('matches-nothing p');
  });

  it('a forbid that matches nothing is a hole, and gravest', () => {
    expect(
      lint(
        `@id("p") forbid (principal is Remit::Agent, ${QUERY}, resource) when { principal.environment == "moon" };`,
      )[0],
    ).toEqual({
      id: 'matches-nothing',
      severity: 'high',
      policy: 'p',
      at: 'p.cedar:1',
      what: 'this forbid matches no registered agent and no user on any described item',
      next: 'Mend its scope and conditions, or remove it.',
    });
  });

  it('what may match is left alone: what only a call decides, and groups of users', () => {
    for (const condition of [
      'context.args.sql == "x"',
      'context has user',
      'context.labels.trust == "trusted"',
      'context.task.purpose == "x"',
    ])
      expect(ids(`@id("p") permit (${BOT}, ${QUERY}, resource) when { ${condition} };`, 'matches-nothing')).toEqual([]);
    expect(
      ids(
        `@id("p") permit (principal is Remit::User, ${QUERY}, resource) when { principal in Remit::Group::"i#a" && principal in Remit::Group::"i#b" };`,
        'matches-nothing',
      ),
    ).toEqual([]);
  });

  it('unknown-template: in a comparison and in a set', () => {
    const of = (condition: string): string[] =>
      ids(`@id("p") permit (${BOT}, ${QUERY}, resource) when { ${condition} };`, 'unknown-template');
    expect(of('context.task.template == "oders"')).toEqual(['unknown-template p']);
    expect(of('["orders", "oders"].contains(context.task.template)')).toEqual(['unknown-template p']);
    expect(of('context.task.template == "orders"')).toEqual([]);
  });

  it('no-task-reaches: an item, an agent, a class or a template that no task has', () => {
    const reach = (text: string): string[] => ids(text, 'no-task-reaches');
    expect(reach(`@id("p") permit (${BOT}, action == Remit::Action::"files/read", resource);`)).toEqual([
      'no-task-reaches p',
    ]);
    expect(reach(`@id("p") permit (principal == Remit::Agent::"helper", ${QUERY}, resource);`)).toEqual([
      'no-task-reaches p',
    ]);
    expect(reach(`@id("p") permit (principal is Remit::User, ${QUERY}, resource);`)).toEqual([]);
    expect(reach(`@id("p") permit (${BOT}, ${QUERY}, resource);`)).toEqual([]);
    const other = sampleTemplate({
      id: 'files' as never,
      agents: [agentId('helper')],
      bounds: { ...TEMPLATE.bounds, tools: ['files/*'] },
    });
    const text = `@id("p") permit (${BOT}, ${QUERY}, resource) when { context.task.template == "files" };`;
    expect(lint(text, [TEMPLATE, other]).map(({ id }) => id)).toContain('no-task-reaches');
  });
});

describe('policies that others overrule', () => {
  it('permit-forbidden: by one forbid, and by several together', () => {
    const permit = `@id("p") permit (${BOT}, action in [Remit::Action::"read", Remit::Action::"financial"], resource in Remit::Connector::"shop_db");`;
    expect(
      ids(
        `${permit} @id("f") forbid (principal, action, resource in Remit::Connector::"shop_db");`,
        'permit-forbidden',
      ),
    ).toEqual(['permit-forbidden p']);
    const read = '@id("r") forbid (principal, action in Remit::Action::"read", resource);';
    const money = '@id("m") forbid (principal is Remit::Agent, action in Remit::Action::"financial", resource);';
    expect(ids(permit + read, 'permit-forbidden')).toEqual([]);
    expect(lint(permit + read + money)).toContainEqual(
      expect.objectContaining({ id: 'permit-forbidden', what: 'all that it permits is forbidden by r, m' }),
    );
  });

  it('permit-forbidden: a forbid with a condition covers a permit that has the same one, and no other', () => {
    const forbid = `@id("f") forbid (principal, ${QUERY}, resource) when { context.args.sql like "drop*" };`;
    const permit = (condition: string): string => `@id("p") permit (${BOT}, ${QUERY}, resource) when { ${condition} };`;
    expect(ids(forbid + permit('context has user && context.args.sql like "drop*"'), 'permit-forbidden')).toEqual([
      'permit-forbidden p',
    ]);
    expect(ids(forbid + permit('context.args.sql like "select*"'), 'permit-forbidden')).toEqual([]);
  });

  it('permit-forbidden: a forbid for one group covers no permit for another, nor one for users', () => {
    const forbid = `@id("f") forbid (principal in Remit::Group::"i#a", ${QUERY}, resource);`;
    const permit = (who: string): string => `@id("p") permit (${who}, ${QUERY}, resource);`;
    expect(ids(forbid + permit('principal in Remit::Group::"i#a"'), 'permit-forbidden')).toEqual([
      'permit-forbidden p',
    ]);
    expect(ids(forbid + permit('principal in Remit::Group::"i#b"'), 'permit-forbidden')).toEqual([]);
    expect(ids(forbid + permit('principal is Remit::User'), 'permit-forbidden')).toEqual([]);
    const others = `@id("f") forbid (principal is Remit::User, ${QUERY}, resource) unless { principal in Remit::Group::"i#b" };`;
    expect(ids(others + permit('principal in Remit::Group::"i#a"'), 'permit-forbidden')).toEqual([]);
  });

  it('permit-forbidden: a hold forbids nothing for good', () => {
    expect(
      ids(
        `@id("p") permit (${BOT}, ${QUERY}, resource); @id("h") @step_up("") forbid (principal, ${QUERY}, resource);`,
        'permit-forbidden',
      ),
    ).toEqual([]);
  });

  it('hold-forbidden', () => {
    expect(
      ids(
        `@id("h") @step_up("") forbid (${BOT}, ${QUERY}, resource); @id("f") forbid (principal, ${QUERY}, resource);`,
        'hold-forbidden',
      ),
    ).toEqual(['hold-forbidden h']);
  });

  it('duplicate, with other annotations even', () => {
    expect(
      ids(
        `@id("a") permit (${BOT}, ${QUERY}, resource); @id("b") @reason("x") permit (${BOT}, ${QUERY}, resource);`,
      ).filter((one) => !one.startsWith('critical')),
    ).toEqual(['duplicate b']);
  });

  it('shadowed: by a wider one; where two are the same, the later', () => {
    const narrow = `@id("a") permit (${BOT}, ${QUERY}, resource) when { context has user };`;
    expect(ids(`${narrow} @id("b") permit (${BOT}, action in Remit::Action::"read", resource);`, 'shadowed')).toEqual([
      'shadowed a',
    ]);
    expect(
      ids(
        `@id("a") permit (${BOT}, ${QUERY}, resource); @id("b") permit (principal in Remit::Agent::"orders-bot", ${QUERY}, resource);`,
        'shadowed',
      ),
    ).toEqual(['shadowed b']);
    expect(
      ids(`${narrow} @id("b") permit (${BOT}, ${QUERY}, resource) when { context.args.sql == "x" };`, 'shadowed'),
    ).toEqual([]);
  });
});

describe('rules that are too broad', () => {
  it('any-principal, any-action; a critical class that nobody named is gravest', () => {
    expect(
      lint('@id("p") permit (principal, action, resource);').map(({ id, severity }) => `${severity} ${id}`),
    ).toEqual(['high critical-class', 'medium any-principal', 'medium any-action', 'medium critical-arguments']);
  });

  it('critical-class: not where the class or the item is named, nor where it is held or forbidden', () => {
    const broad = '@id("p") permit (principal is Remit::Agent, action in Remit::Action::"call", resource);';
    expect(lint(broad)).toContainEqual(
      expect.objectContaining({
        id: 'critical-class',
        severity: 'high',
        what: 'it permits financial without naming it, on shop_db/pay',
      }),
    );
    expect(
      ids(
        `${broad} @id("h") @step_up("") forbid (principal, action in Remit::Action::"financial", resource);`,
        'critical-class',
      ),
    ).toEqual([]);
    expect(
      ids(
        '@id("p") permit (principal is Remit::Agent, action in Remit::Action::"financial", resource);',
        'critical-class',
      ),
    ).toEqual([]);
    expect(
      ids(`@id("p") permit (${BOT}, action == Remit::Action::"shop_db/pay", resource);`, 'critical-class'),
    ).toEqual([]);
  });

  it('critical-arguments: not where a policy of the item looks at them', () => {
    const permit = `@id("p") permit (${BOT}, action == Remit::Action::"shop_db/pay", resource);`;
    expect(ids(permit)).toEqual(['critical-arguments p']);
    expect(
      ids(
        `${permit} @id("f") forbid (principal, action == Remit::Action::"shop_db/pay", resource) when { context.args.amount > 100 };`,
      ),
    ).toEqual([]);
    expect(
      ids(
        `@id("p") permit (${BOT}, action == Remit::Action::"shop_db/pay", resource) when { context.args.amount < 100 };`,
      ),
    ).toEqual([]);
  });

  it('a policy takes a finding on itself', () => {
    expect(
      ids(
        '@id("p") @lint_allow("any-principal, any-action,critical-class,critical-arguments") permit (principal, action, resource);',
      ),
    ).toEqual([]);
  });
});
