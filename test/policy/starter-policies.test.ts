import { describe, expect, test } from 'vitest';
import { createCedarEngine } from '../../src/adapters/policy/cedar-engine.ts';
import { lintPolicies } from '../../src/adapters/policy/lint/lint-policies.ts';
import { loadPolicies, type PolicyFile } from '../../src/adapters/policy/load-policies.ts';
import type { PolicyInventory } from '../../src/adapters/policy/policy-inventory.ts';
import { starterConfig } from '../../src/cli/commands/init-files.ts';
import { buildEstate } from '../../src/compose/estate.ts';
import { lintFolder } from '../../src/compose/policies/policies.ts';
import { tryPolicies } from '../../src/compose/policies/try-policies.ts';
import { parseConfig } from '../../src/config/load-config.ts';
import type { AccessRequest } from '../../src/domain/decision.ts';
import { connectorId, toolRef } from '../../src/domain/ids.ts';
import { NO_RISK } from '../../src/domain/risk.ts';
import { STRICTNESSES, type Strictness } from '../../src/domain/strictness.ts';
import { ACTION_CLASSES, type ActionClass } from '../../src/domain/tool.ts';
import { starterPolicies } from '../../src/policy/starter-policies.ts';
import { makePolicyFolder } from '../compose/policy-folder.ts';
import { INVENTORY, samplePrincipal, sampleProfile, sampleRequest, sampleTask, sampleTemplate } from './samples.ts';

const policiesOf = (strictness: Strictness): PolicyFile[] =>
  starterPolicies(strictness).filter(({ path }) => path.endsWith('.cedar'));

/** A connector with an item of each class, a write that can be undone, and personal data. */
const ALL = connectorId('all');
const profiles = {
  ...Object.fromEntries(ACTION_CLASSES.map((name) => [name, sampleProfile(name)])),
  undoable: sampleProfile('write', {}, { reversible: true }),
  personal: sampleProfile('read', {}, { dataClasses: ['personal'] }),
} as Record<ActionClass | 'undoable' | 'personal', ReturnType<typeof sampleProfile>>;
const EVERYTHING: PolicyInventory = {
  agents: INVENTORY.agents,
  connectors: [
    {
      id: ALL,
      owner: 'dana',
      environment: 'prod',
      zone: 'internal',
      tools: Object.entries(profiles).map(([name, profile]) => ({ name, profile })),
    },
  ],
};
const ALICE = { issuer: 'https://idp.example', subject: 'alice', groups: ['support'] };

function ask(strictness: Strictness, item: keyof typeof profiles, more: Partial<AccessRequest> = {}): string {
  const engine = createCedarEngine(loadPolicies(policiesOf(strictness), EVERYTHING));
  const request = sampleRequest('shop_db/query' as never);
  const { verdict, terms = [] } = engine.evaluate({
    ...request,
    resource: { connector: ALL, tool: toolRef(ALL, item), profile: profiles[item] },
    ...more,
    context: { ...request.context, arguments: {}, risk: NO_RISK, ...more.context },
  }) as ReturnType<typeof engine.evaluate>;
  engine.release();
  return verdict === 'step_up'
    ? `step_up ${terms.map(({ count, barred }) => [count, ...barred].join(' ')).join()}`
    : verdict;
}

describe.each(STRICTNESSES)('the starter policies: %s', (strictness) => {
  test('are valid before anything is registered', () => {
    const ids = loadPolicies(policiesOf(strictness), { agents: [], connectors: [] }).policies.map(({ id }) => id);
    expect(ids).toEqual(expect.arrayContaining(['agents-discover', 'agents-read']));
  });

  test('come with cases that hold on the estate that `remit init` writes, and lint finds nothing grave there', async () => {
    const estate = buildEstate(parseConfig(starterConfig('dana@shop.example', strictness), 'remit.yaml'));
    const files = Object.fromEntries(starterPolicies(strictness).map(({ path, text }) => [path, text]));
    const place = await makePolicyFolder(files);
    try {
      const { results } = await tryPolicies(place.folder, estate);
      expect(results.length).toBeGreaterThanOrEqual(4);
      expect(results.flatMap(({ mismatches }) => mismatches)).toEqual([]);
      expect((await lintFolder(place.folder, estate)).filter(({ severity }) => severity !== 'low')).toEqual([]);
    } finally {
      await place.remove();
    }
  });

  test('lint finds nothing but arguments that nobody reads, where there is an item of every class', () => {
    const bounds = { actionClasses: ACTION_CLASSES, tools: ['all/*'], resources: [], calls: 1 };
    const templates = [sampleTemplate({ bounds, agents: INVENTORY.agents.map(({ id }) => id) })];
    const loaded = loadPolicies(policiesOf(strictness), EVERYTHING);
    expect(lintPolicies({ ...loaded, templates, environment: 'prod' }).filter(({ id }) => id !== 'shadowed')).toEqual(
      [],
    );
  });

  test('have examples that are valid once their comment marks are gone', () => {
    const inventory = {
      agents: [...INVENTORY.agents],
      connectors: INVENTORY.connectors.map((connector) =>
        connector.id === connectorId('files')
          ? { ...connector, tools: [{ name: 'read_text_file', profile: sampleProfile('read', { path: 'path' }) }] }
          : connector,
      ),
    };
    const uncommented = policiesOf(strictness).map(({ path, text }) => ({ path, text: uncomment(text) }));
    const ids = loadPolicies(uncommented, inventory).policies.map(({ id }) => id);
    expect(ids).toEqual(
      expect.arrayContaining([
        'orders-bot-query',
        'files-in-folder',
        'personal-data-in-production-only',
        'money-needs-a-user',
      ]),
    );
    expect(ids.includes('support-users')).toBe(strictness === 'production' || strictness === 'regulated');
  });
});

test('D1 what each strictness permits an agent, holds and for whom', () => {
  const items = [
    'read',
    'personal',
    'undoable',
    'write',
    'ticket',
    'code',
    'financial',
    'export',
    'privilege',
    'secret',
  ] as const;
  const rows = Object.fromEntries(STRICTNESSES.map((one) => [one, items.map((item) => `${item}: ${ask(one, item)}`)]));
  expect(rows).toEqual({
    sandbox: [
      ...['read', 'personal', 'undoable', 'write', 'ticket', 'code', 'financial', 'export'].map(
        (item) => `${item}: permit`,
      ),
      'privilege: step_up 1',
      'secret: step_up 1',
    ],
    internal: [
      ...['read', 'personal', 'undoable', 'write', 'ticket', 'code'].map((item) => `${item}: permit`),
      'financial: step_up 1',
      'export: step_up 1',
      'privilege: step_up 1 user',
      'secret: step_up 1 user',
    ],
    production: [
      ...['read', 'personal', 'undoable'].map((item) => `${item}: permit`),
      ...['write', 'ticket', 'code'].map((item) => `${item}: step_up 1`),
      ...['financial', 'export'].map((item) => `${item}: step_up 1 user`),
      ...['privilege', 'secret'].map((item) => `${item}: step_up 1 user owner`),
    ],
    regulated: [
      'read: permit',
      'personal: step_up 1 owner',
      ...['undoable', 'write', 'ticket', 'code', 'financial', 'export'].map((item) => `${item}: step_up 1 user owner`),
      ...['privilege', 'secret'].map((item) => `${item}: step_up 2 user owner`),
    ],
  });
});

test('D1 users: whoever has signed in up to internal, nobody before a group is named from production on', () => {
  const subject = { kind: 'user' as const, id: 'https://idp.example#alice', groups: ['https://idp.example#support'] };
  const { context } = sampleRequest('shop_db/query' as never);
  const asUser = {
    subject,
    context: {
      ...context,
      principal: samplePrincipal({ user: ALICE }),
      task: sampleTask({ user: ALICE }),
      arguments: {},
    },
  };
  expect(STRICTNESSES.map((one) => ask(one, 'read', asUser))).toEqual(['permit', 'permit', 'deny', 'deny']);
  expect(STRICTNESSES.map((one) => ask(one, 'read', { ...asUser, action: 'discover' }))).toEqual([
    'permit',
    'permit',
    'deny',
    'deny',
  ]);
});

test('in production who is at risk changes nothing without another person, not even what can be undone', () => {
  const { context } = sampleRequest('shop_db/query' as never);
  const risky = { context: { ...context, arguments: {}, risk: { ...NO_RISK, task: 'high' as const } } };
  expect(ask('production', 'undoable', risky)).toBe('step_up 1 user');
  expect(ask('production', 'read', risky)).toBe('permit');
});

/** Takes the marks off each block of comment lines from `@id` to the line that ends in `;`. */
function uncomment(text: string): string {
  let isExample = false;
  return text
    .split('\n')
    .map((line) => {
      isExample ||= line.startsWith('// @id(');
      if (!isExample) return line;
      isExample = !line.endsWith(';');
      return line.replace(/^\/\/ ?/, '');
    })
    .join('\n');
}
