import { schemaToJson, validate } from '@cedar-policy/cedar-wasm/nodejs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createCedarEngine } from '../../src/adapters/policy/cedar-engine.ts';
import { buildSchema } from '../../src/adapters/policy/cedar-schema.ts';
import { loadPolicies } from '../../src/adapters/policy/load-policies.ts';
import type { PolicyInventory } from '../../src/adapters/policy/policy-inventory.ts';
import { connectorId, toolRef } from '../../src/domain/ids.ts';
import { ACTION_CLASSES, type ToolProfile } from '../../src/domain/tool.ts';
import { INVENTORY, SHOP, sampleProfile, sampleRequest } from './samples.ts';

const shopWith = (...tools: [string, ToolProfile][]): PolicyInventory => ({
  agents: INVENTORY.agents,
  connectors: [
    {
      id: SHOP,
      owner: 'dba',
      environment: 'prod',
      zone: 'internal',
      tools: tools.map(([name, profile]) => ({ name, profile })),
    },
  ],
});

function readSchema(text: string) {
  const answer = schemaToJson(text);
  if (answer.type === 'failure') throw new Error(`${JSON.stringify(answer.errors)}\n${text}`);
  expect(Object.keys(answer.json)).toEqual(['Remit']);
  const namespace = answer.json.Remit;
  if (namespace === undefined) throw new Error('no namespace');
  return namespace;
}

const GROUPS = ['discover', 'call', ...ACTION_CLASSES];
const argumentsOf = (namespace: ReturnType<typeof readSchema>, action: string) => {
  const context = namespace.actions[action]?.appliesTo?.context as {
    attributes: Record<string, { attributes?: object }>;
  };
  return context.attributes.args?.attributes;
};

test('describes every tool with its class and typed arguments', () => {
  const namespace = readSchema(buildSchema(INVENTORY));
  expect(Object.keys(namespace.actions).sort()).toEqual(
    [...GROUPS, 'files/read', 'shop_db/pay', 'shop_db/query'].sort(),
  );
  expect(namespace.actions['shop_db/pay']?.memberOf).toMatchObject([{ id: 'financial' }]);
  expect(namespace.actions.financial?.memberOf).toMatchObject([{ id: 'call' }]);
  expect(namespace.actions.discover?.memberOf ?? []).toEqual([]);
  expect(argumentsOf(namespace, 'files/read')).toMatchObject({
    path: { name: 'String' },
    tags: { type: 'Set', required: false },
  });
});

test('is the same text for the same estate in another order', () => {
  const reversed: PolicyInventory = {
    agents: [...INVENTORY.agents].reverse(),
    connectors: [...INVENTORY.connectors]
      .reverse()
      .map((connector) => ({ ...connector, tools: [...connector.tools].reverse() })),
  };
  expect(buildSchema(reversed)).toBe(buildSchema(INVENTORY));
});

test('parses without any tool', () => {
  expect(Object.keys(readSchema(buildSchema({ agents: [], connectors: [] })).actions).sort()).toEqual(
    [...GROUPS].sort(),
  );
});

const evil = [
  'x" in ["privilege"] appliesTo { principal: [User], resource: [Tool] }; action "y',
  'x"; }\nnamespace Evil { entity E; }\n//',
  'x\\',
  'x\\"',
  'a\nb',
  '// */ \r\n action "z";',
  '\u2028entity X;\u2028',
  '💥\0\u{7f}',
  'call',
  '__cedar::x',
];

test.each(evil)('a tool, an argument or a data class named %j adds nothing to the schema', (name) => {
  const profile = sampleProfile('read', { [name]: 'string', other: 'long?' }, { dataClasses: [name] });
  const inventory = shopWith([name, profile], ['plain', sampleProfile()]);
  const namespace = readSchema(buildSchema(inventory));
  expect(Object.keys(namespace.actions).sort()).toEqual([...GROUPS, `shop_db/${name}`, 'shop_db/plain'].sort());
  expect(Object.keys(namespace.entityTypes).sort()).toEqual(['Agent', 'Connector', 'Group', 'Tool', 'User']);
  expect(Object.keys(argumentsOf(namespace, `shop_db/${name}`) ?? {}).sort()).toEqual([name, 'other'].sort());

  // And it works as a name: the tool is called, the argument is read.
  const engine = createCedarEngine(
    loadPolicies(
      [{ path: 'p.cedar', text: 'permit (principal, action in Remit::Action::"read", resource);' }],
      inventory,
    ),
  );
  const request = sampleRequest(toolRef(SHOP, name), {
    resource: { connector: SHOP, tool: toolRef(SHOP, name), profile },
    context: { ...sampleRequest(toolRef(SHOP, 'query')).context, arguments: { [name]: 'v' } },
  });
  expect(engine.evaluate(request).verdict).toBe('permit');
  engine.release();
});

test('no name whatever changes the shape of the schema', () => {
  const alphabet = fc.constantFrom(
    ...('"\\/{}[];:,=\n\r\t\0 \'ab@?*#é💥\u2028'.match(/./gsu) as string[]),
    'action ',
    'entity ',
    '// ',
  );
  const text = fc.array(alphabet, { minLength: 1, maxLength: 12 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(text, text, text, (tool, argument, dataClass) => {
      const inventory = shopWith([
        tool,
        sampleProfile('write', { [argument]: 'string' }, { dataClasses: [dataClass] }),
      ]);
      const schema = buildSchema(inventory);
      const namespace = readSchema(schema);
      expect(Object.keys(namespace.actions).sort()).toEqual([...GROUPS, `shop_db/${tool}`].sort());
      expect(Object.keys(argumentsOf(namespace, `shop_db/${tool}`) ?? {})).toEqual([argument]);
      expect(Object.keys(namespace.entityTypes)).toHaveLength(5);
      expect(validate({ schema, policies: {} }).type).toBe('success');
    }),
    { numRuns: 200 },
  );
});

test.each(['__entity', '__extn', '__expr', '__proto__'])('refuses an argument named %s', (name) => {
  const profile = sampleProfile();
  const criticalArguments = [{ name, type: 'string' as const, required: true }];
  expect(() => buildSchema(shopWith(['t', { ...profile, criticalArguments }]))).toThrow(/reserves/);
});

test('refuses ill-formed and double names', () => {
  expect(() => buildSchema(shopWith(['a\ud800', sampleProfile()]))).toThrow(/well-formed/);
  expect(() => buildSchema(shopWith(['a', sampleProfile()], ['a', sampleProfile()]))).toThrow(/two tools/);
  const twice = { name: 'x', type: 'string' as const, required: true };
  expect(() => buildSchema(shopWith(['t', { ...sampleProfile(), criticalArguments: [twice, twice] }]))).toThrow(
    /twice/,
  );
  const connector = { id: connectorId('a'), owner: 'o', environment: 'e', zone: 'z', tools: [] };
  expect(() => buildSchema({ agents: [], connectors: [connector, connector] })).toThrow(/two connectors/);
});
