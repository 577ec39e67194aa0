import { describe, expect, test } from 'vitest';
import { loadPolicies } from '../../src/adapters/policy/load-policies.ts';
import { isRemitError, type RemitError } from '../../src/domain/errors.ts';
import { INVENTORY } from './samples.ts';

const load = (text: string) => loadPolicies([{ path: 'base.cedar', text }], INVENTORY).policies;

function faultOf(...texts: string[]): RemitError {
  try {
    loadPolicies(
      texts.map((text, index) => ({ path: index === 0 ? 'base.cedar' : `more${index}.cedar`, text })),
      INVENTORY,
    );
  } catch (error) {
    if (isRemitError(error, 'ERR_POLICY_INVALID')) return error;
    throw error;
  }
  throw new Error('the policies were accepted');
}

describe('what is loaded', () => {
  test('ids, annotations, effects and places, in the order of the file', () => {
    const text = `// "a comment; with a semicolon
@id("first") @reason("Because; \\"so\\".") @next("Wait.")
permit (principal, action, resource) when { context.environment == "a;b // c" };
forbid (principal, action, resource) when { context.environment == "\\\\" }; permit (principal, action, resource);
// the end`;
    expect(load(text)).toMatchObject([
      { id: 'first', line: 2, effect: 'permit', reason: 'Because; "so".', nextStep: 'Wait.' },
      { id: 'base.cedar#2', line: 4, effect: 'forbid', reason: undefined, nextStep: undefined },
      { id: 'base.cedar#3', line: 4, effect: 'permit' },
    ]);
  });

  test('more than ten policies keep their order', () => {
    const environments = Array.from({ length: 12 }, (_, index) => `e${index}`);
    const text = environments.map(
      (name) => `permit (principal, action, resource) when { context.environment == "${name}" };`,
    );
    const loaded = load(text.join('\n'));
    expect(loaded.map(({ id }) => id)).toEqual(environments.map((_, index) => `base.cedar#${index + 1}`));
    loaded.forEach((policy, index) => {
      expect(policy.text).toContain(`"e${index}"`);
    });
  });

  test('no policy at all is legal', () => {
    expect(load('')).toEqual([]);
    expect(load('// nothing yet;\n')).toEqual([]);
    expect(loadPolicies([], INVENTORY).policies).toEqual([]);
  });
});

describe('D1 what is refused', () => {
  test.each([
    [
      'text that does not parse',
      'permit (principal, action, resource)\nwhen { 1 + };',
      /base\.cedar:2:12: .*unexpected token/,
    ],
    ['a policy without an end', 'permit (principal, action, resource)', /base\.cedar:1:\d+: .*unexpected end/],
    ['a string without an end', 'permit (principal, action, resource) when { "a };', /base\.cedar:1:\d+: /],
    ['rubbish between policies', 'permit (principal, action, resource);\n;', /base\.cedar:2:1: /],
    [
      'a forbid that would fail for want of an argument',
      'forbid (principal, action in Remit::Action::"call", resource)\n  when { context.args.amount > 5 };',
      /base\.cedar:2:10: .*amount/,
    ],
    [
      'an optional argument that is not guarded',
      'forbid (principal, action == Remit::Action::"shop_db/query", resource) when { context.args.limit > 5 };',
      /base\.cedar:1:\d+: .*(optional|limit)/,
    ],
    ['a type error', 'permit (principal, action, resource) when { context.environment > 5 };', /base\.cedar:1:45: /],
    [
      'an action that does not exist',
      'forbid (principal, action == Remit::Action::"shop_db/qeury", resource);',
      /unrecognized action.*did you mean/,
    ],
    [
      'a forbid that can never apply',
      'forbid (principal, action in Remit::Action::"call", resource) when { context.args has amuont };',
      /impossible/,
    ],
    ['a template', 'permit (principal == ?principal, action, resource);', /template/],
    [
      'a class compared in the scope',
      'forbid (principal, action == Remit::Action::"read", resource);',
      /1:45.*is a group.*action in/,
    ],
    [
      'a class compared in a condition',
      'forbid (principal, action in Remit::Action::"call", resource) when { [Remit::Action::"read"].contains(action) };',
      /is a group/,
    ],
    [
      'an agent that is not registered',
      'forbid (principal == Remit::Agent::"order-bot", action, resource);',
      /1:36.*not registered/,
    ],
    [
      'a tool that is not described',
      'forbid (principal, action, resource == Remit::Tool::"shop_db/drop");',
      /not registered/,
    ],
    [
      'a connector that is not registered, in a condition',
      'permit (principal, action, resource) when { resource in Remit::Connector::"shop" };',
      /not registered/,
    ],
    [
      'a number that JSON would round',
      'forbid (principal, action == Remit::Action::"shop_db/pay", resource) when { context.args.amount > 9007199254740993 };',
      /2\^53/,
    ],
    ['an id of our own', '@id("remit:task-tool") permit (principal, action, resource);', /not allowed/],
    ['an empty id', '@id("") permit (principal, action, resource);', /not allowed/],
    [
      'letters that look like others',
      'permit (principal, action, resource) when { context.environment == "prоd" };',
      /script|confus/i,
    ],
  ])('D1 %s', (_, text, expected) => {
    expect(faultOf(text).message).toMatch(expected);
  });

  test('the same id twice, also across files', () => {
    const policy = '@id("one") permit (principal, action, resource);';
    expect(faultOf(`${policy}\n${policy}`).message).toMatch(
      /base\.cedar:2:1: policy one: base\.cedar:1 has the same id/,
    );
    expect(faultOf(policy, policy).message).toMatch(/more1\.cedar:1:1/);
  });

  test('lists every problem of every file, with the place of the first and a hint', () => {
    const fault = faultOf(
      '// é\n@id("é") permit (principal, action, resource) when { "é" == "é" && context.nope };',
      'permit (principal, action, resource) when { 1 };',
      'permit (principal, action, resource)\n\nwhen {;',
    );
    expect(fault.where).toMatch(/^[a-z0-9.]+:\d+:\d+$/);
    expect(fault.hint).toMatch(/policy check/);
    expect(fault.message).toMatch(/base\.cedar:2:68: policy é: /);
    expect(fault.message).toMatch(/more1\.cedar:1:45: policy more1\.cedar#1: /);
    expect(fault.message).toMatch(/more2\.cedar:3:7: policy more2\.cedar#1: /);
  });
});
