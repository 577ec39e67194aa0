import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCedarEngine } from '../../src/adapters/policy/cedar-engine.ts';
import { buildEstate, type Estate, inventoryRows } from '../../src/compose/estate.ts';
import { readPolicies, writePolicySchema } from '../../src/compose/policies/policies.ts';
import { parseConfig } from '../../src/config/load-config.ts';
import { NO_LABELS } from '../../src/domain/flow.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import type { GovernedTool } from '../../src/domain/tool.ts';
import { createCatalogue } from '../../src/inventory/catalogue.ts';
import { whoCan } from '../../src/inventory/who-can.ts';
import { createDecider } from '../../src/policy/decide.ts';
import type { Store } from '../../src/seams/store.ts';
import { createMemoryInventory } from '../support/fake-memory-inventory.ts';
import { NOW, samplePrincipal, sampleTask } from './samples.ts';

const CONFIG = `version: 1
agents:
  orders-bot: { owner: dana, publicKeys: x.json }
connectors:
  docs:
    owner: dana
    transport: { http: { url: "https://docs.example/mcp" } }
    tools:
      search: { class: read, approvedBy: dana }
    resources:
      "docs://manuals/**": { class: read, approvedBy: dana }
    prompts:
      summarise: { class: read, arguments: { text: string, tone: "string?" }, approvedBy: dana }
templates:
  orders:
    owner: dana
    purpose: read the manuals
    agents: [orders-bot]
    classes: [read]
    tools: ["docs/*"]
`;

const POLICIES = `
@id("list") permit (principal, action == Remit::Action::"discover", resource);
@id("reads") permit (principal, action in Remit::Action::"read", resource);
@id("no-drafts")
forbid (principal, action == Remit::Action::"docs/resource:docs://manuals/**", resource)
when { context.args.uri like "docs://manuals/drafts/*" };
@id("polite")
forbid (principal, action == Remit::Action::"docs/prompt:summarise", resource == Remit::Tool::"docs/prompt:summarise")
when { context.args has tone && context.args.tone == "rude" };
`;

const LISTED = {
  tools: [{ name: 'search' }] as JsonObject[],
  prompts: [{ name: 'summarise', arguments: [{ name: 'text', required: true }] }] as JsonObject[],
  templates: [{ uriTemplate: 'docs://manuals/{name}', name: 'manuals' }] as JsonObject[],
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-kinds-'));
  await writeFile(join(folder, 'docs.cedar'), POLICIES);
});
afterAll(() => rm(folder, { recursive: true }));

async function makeWorld() {
  const estate = buildEstate(parseConfig(CONFIG, 'remit.yaml'));
  const inventory = createMemoryInventory();
  const catalogue = createCatalogue({
    tenant: estate.tenant,
    connectors: [...estate.connectors.values()],
    inventory,
    listItems: async () => LISTED,
    clock: () => NOW,
    log: { debug() {}, info() {}, warn() {}, error() {} },
  });
  for (const connector of estate.connectors.keys()) await catalogue.refresh(connector);
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const engine = createCedarEngine({ ...(await readPolicies(folder, estate)), log });
  const decider = createDecider({
    engine: () => engine,
    environment: 'dev',
    labelsOf: () => NO_LABELS,
    clock: () => NOW,
  });
  const template = [...estate.templates.values()][0];
  const task = sampleTask({ bounds: { actionClasses: ['read'], tools: ['docs/*'], resources: [], calls: 10 } });
  const ask = async (tool: GovernedTool | undefined, args: JsonObject, bounds = task.bounds) => {
    if (tool === undefined) throw new Error('no such item');
    const request = { principal: samplePrincipal(), task: { ...task, bounds }, template, tool };
    return await decider.decideCall({ ...request, args, callsLeft: 10 });
  };
  return { estate, catalogue, inventory, ask, task };
}

describe('D3 a prompt and a resource are decided on as a tool is', () => {
  it('by policies on their own actions, and on their arguments', async () => {
    const { catalogue, ask } = await makeWorld();
    const [resource] = catalogue.resources();
    const prompt = catalogue.find('prompt', 'docs__summarise', undefined);
    expect(await ask(resource, { uri: 'docs://manuals/a' })).toMatchObject({ verdict: 'permit', policies: ['reads'] });
    expect(await ask(resource, { uri: 'docs://manuals/drafts/a' })).toMatchObject({
      verdict: 'deny',
      policies: ['no-drafts'],
    });
    expect(await ask(prompt, { text: 'x' })).toMatchObject({ verdict: 'permit' });
    expect(await ask(prompt, { text: 'x', tone: 'rude' })).toMatchObject({ verdict: 'deny', policies: ['polite'] });
  });

  it('D4 a resource without its address, and a prompt with an argument that is no text, are denied', async () => {
    const { catalogue, ask } = await makeWorld();
    expect(await ask(catalogue.resources()[0], {})).toMatchObject({ verdict: 'deny', policies: ['remit:arguments'] });
    expect(await ask(catalogue.prompts()[0], { text: 7 })).toMatchObject({
      verdict: 'deny',
      policies: ['remit:arguments'],
    });
  });

  it('a task that names one of them holds that one alone', async () => {
    const { catalogue, ask, task } = await makeWorld();
    const bounds = { ...task.bounds, tools: ['docs/prompt:summarise'] };
    expect(await ask(catalogue.prompts()[0], { text: 'x' }, bounds)).toMatchObject({ verdict: 'permit' });
    expect(await ask(catalogue.resources()[0], { uri: 'docs://manuals/a' }, bounds)).toMatchObject({
      verdict: 'deny',
      policies: ['remit:task-tool'],
    });
    expect(await ask(catalogue.tools()[0], {}, bounds)).toMatchObject({ verdict: 'deny' });
  });

  it('a policy on a pattern that nobody described is refused', async () => {
    const { estate } = await makeWorld();
    const other = await mkdtemp(join(tmpdir(), 'remit-kinds-'));
    try {
      await writeFile(
        join(other, 'a.cedar'),
        'permit (principal, action == Remit::Action::"docs/resource:docs://manuels/**", resource);',
      );
      await expect(readPolicies(other, estate)).rejects.toMatchObject({ code: 'ERR_POLICY_INVALID' });
      expect(await writePolicySchema(other, estate)).toMatch(/schema\.cedarschema$/);
    } finally {
      await rm(other, { recursive: true });
    }
  });
});

it('who-can names each described item once, resources by the owner’s pattern', async () => {
  const { estate, inventory } = await makeWorld();
  const store = {
    inventory: { ...inventory, agents: async () => inventoryRows(estate).agents, grants: async () => grantsOf(estate) },
    tasks: { list: async () => [] },
    leases: { list: async () => [] },
  } as unknown as Store;
  const all = await whoCan(store, estate.tenant, {}, NOW);
  expect(all.map(({ tool, kind }) => `${kind} ${tool}`)).toEqual([
    'standing docs/prompt:summarise',
    'standing docs/resource:docs://manuals/**',
    'standing docs/search',
  ]);
  const one = await whoCan(store, estate.tenant, { tool: 'docs/resource:docs://manuals/**' }, NOW);
  expect(one).toMatchObject([{ agent: 'orders-bot', agentOwner: 'dana', actionClass: 'read' }]);
});

const grantsOf = (estate: Estate) => inventoryRows(estate).grants;
