import { expect, test } from 'vitest';
import type { InventoryAgent, InventoryConnector, InventoryGrant } from '../../src/seams/store.ts';
import type { StoreFixture } from '../suites/store-suite.ts';
import { ACME, NOW, RIVAL, sampleTool } from './samples.ts';

const reporter: InventoryAgent = { tenant: ACME, id: 'reporter', owner: 'ann', environment: 'prod', zone: 'internal' };
const database: InventoryConnector = {
  ...reporter,
  id: 'shop_db',
  transport: 'stdio',
  credential: 'postgres',
  exception: undefined,
};
const legacy: InventoryConnector = {
  ...database,
  id: 'legacy',
  credential: 'static',
  exception: { owner: 'bob', reason: 'no API', expires: '2027-01-01T00:00:00Z' },
};
const grant: InventoryGrant = {
  tenant: ACME,
  agent: 'reporter',
  template: 'weekly-report',
  templateOwner: 'ann',
  purpose: 'report',
  actionClasses: ['read'],
  tools: ['shop_db/query'],
  resources: [],
  calls: 1_000_000,
  maxDurationSeconds: 3600,
  requiresUser: true,
};

export function testInventory(current: () => StoreFixture): void {
  test('the configured estate is replaced as a whole', async () => {
    const { inventory } = current().store;
    await inventory.replace(ACME, { agents: [reporter], connectors: [database, legacy], grants: [grant] });
    expect(await inventory.agents(ACME)).toEqual([reporter]);
    expect(await inventory.connectors(ACME)).toEqual([legacy, database]);
    expect(await inventory.grants(ACME)).toEqual([grant]);
    const free = { ...grant, template: 'other', requiresUser: false };
    await inventory.replace(ACME, { agents: [], connectors: [database], grants: [free] });
    expect(await inventory.agents(ACME)).toEqual([]);
    expect(await inventory.connectors(ACME)).toEqual([database]);
    expect(await inventory.grants(ACME)).toEqual([free]);
  });

  test('a replacement that fails changes nothing', async () => {
    const { inventory } = current().store;
    await inventory.replace(ACME, { agents: [reporter], connectors: [database], grants: [grant] });
    const twice = { agents: [], connectors: [], grants: [grant, grant] };
    await expect(inventory.replace(ACME, twice)).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED' });
    expect(await inventory.agents(ACME)).toEqual([reporter]);
    expect(await inventory.grants(ACME)).toEqual([grant]);
  });

  test('several that start at once each replace it as a whole', async () => {
    const { inventory } = current().store;
    const estate = { agents: [reporter], connectors: [database, legacy], grants: [grant] };
    await Promise.all(Array.from({ length: 6 }, () => inventory.replace(ACME, estate)));
    expect(await inventory.agents(ACME)).toEqual([reporter]);
    expect(await inventory.grants(ACME)).toEqual([grant]);
  });

  test('pins are kept by item, replaced by a new approval, and belong to their tenant', async () => {
    const { inventory } = current().store;
    const pin = (name: string, fingerprint: string) => ({
      tenant: ACME,
      connector: 'shop_db',
      name,
      fingerprint,
      definition: { name, description: fingerprint },
      pinnedAt: NOW,
    });
    await inventory.pin(ACME, [pin('query', 'sha256:1'), pin('write', 'sha256:2')]);
    await inventory.pin(ACME, [pin('query', 'sha256:3')]);
    expect(await inventory.pins(ACME)).toEqual([pin('query', 'sha256:3'), pin('write', 'sha256:2')]);
    expect(await inventory.pins(ACME, 'other')).toEqual([]);
    expect(await inventory.pins(RIVAL)).toEqual([]);
    await inventory.pin(ACME, []);
    expect(await inventory.pins(ACME)).toHaveLength(2);
  });

  test('a listing refreshes known tools, keeps when they were first seen, and removes the rest', async () => {
    const { inventory } = current().store;
    const bare = sampleTool('bare', { status: 'undescribed', actionClass: undefined, approvedBy: undefined });
    await inventory.recordTools(ACME, 'shop_db', [sampleTool('query'), bare]);
    await inventory.recordTools(ACME, 'files', [sampleTool('read', { connector: 'files' })]);
    expect(await inventory.tools(ACME, 'shop_db')).toEqual([bare, sampleTool('query')]);
    const changed = sampleTool('query', {
      fingerprint: 'sha256:11',
      definition: { name: 'query', description: 'changed' },
      status: 'quarantined',
      firstSeenAt: NOW + 50,
      lastSeenAt: NOW + 50,
    });
    await inventory.recordTools(ACME, 'shop_db', [changed]);
    expect(await inventory.tools(ACME, 'shop_db')).toEqual([{ ...changed, firstSeenAt: NOW }]);
    expect((await inventory.tools(ACME)).map(({ connector, name }) => `${connector}/${name}`)).toEqual([
      'files/read',
      'shop_db/query',
    ]);
    await inventory.recordTools(ACME, 'shop_db', []);
    expect(await inventory.tools(ACME, 'shop_db')).toEqual([]);
  });

  test('a server that lists one name twice, or a thousand tools, is recorded', async () => {
    const { inventory } = current().store;
    const many = Array.from({ length: 1000 }, (_, n) => sampleTool(`tool_${String(n).padStart(4, '0')}`));
    const again = sampleTool('tool_0007', { fingerprint: 'sha256:77' });
    await inventory.recordTools(ACME, 'shop_db', [...many, again]);
    const found = await inventory.tools(ACME, 'shop_db');
    expect(found).toHaveLength(1000);
    expect(found[7]).toEqual(again);
    await inventory.recordTools(ACME, 'shop_db', [again]);
    expect(await inventory.tools(ACME, 'shop_db')).toEqual([again]);
  });

  test('I1 one tenant’s estate and tools leave another’s alone', async () => {
    const { inventory } = current().store;
    await inventory.replace(ACME, { agents: [reporter], connectors: [database], grants: [grant] });
    await inventory.recordTools(ACME, 'shop_db', [sampleTool('query')]);
    await inventory.replace(RIVAL, { agents: [reporter], connectors: [], grants: [] });
    await inventory.recordTools(RIVAL, 'shop_db', []);
    expect(await inventory.agents(RIVAL)).toEqual([{ ...reporter, tenant: RIVAL }]);
    expect(await inventory.connectors(RIVAL)).toEqual([]);
    expect(await inventory.grants(RIVAL)).toEqual([]);
    expect(await inventory.tools(RIVAL)).toEqual([]);
    expect(await inventory.agents(ACME)).toEqual([reporter]);
    expect(await inventory.connectors(ACME)).toEqual([database]);
    expect(await inventory.grants(ACME)).toEqual([grant]);
    expect(await inventory.tools(ACME)).toEqual([sampleTool('query')]);
  });
}
