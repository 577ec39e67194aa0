import { expect, it } from 'vitest';
import { assertSameUrl } from '../../src/compose/nodes/same-url.ts';
import { tenantId } from '../../src/domain/ids.ts';
import { createMemoryOAuth } from '../support/fake-memory-repositories.ts';

type Workspace = Parameters<typeof assertSameUrl>[0];

/** One node after the other starts on one store; those that run are the last of `running`. */
function makeStore() {
  const oauth = createMemoryOAuth();
  const running: { name: string; leftMs: number }[] = [];
  const start = (node: string, url: string, tenant = 'default'): Promise<void> => {
    const list = async () => running;
    const store = { oauth, shared: { nodes: { list } } };
    const workspace = { store, node, estate: { tenant: tenantId(tenant) }, system: { clock: Date.now } };
    return assertSameUrl(workspace as unknown as Workspace, url);
  };
  return { oauth, running, start };
}

it('a node that agents would know by another URL than the nodes that run does not start, and is told both', async () => {
  const { running, start } = makeStore();
  await start('n1', 'https://remit.example.com');
  running.push({ name: 'n1', leftMs: 4_000 }, { name: 'n2', leftMs: 4_000 });
  await start('n2', 'https://remit.example.com');
  await expect(start('n2', 'http://10.0.0.6:7420')).rejects.toMatchObject({
    code: 'ERR_CONFIG_INVALID',
    where: 'publicUrl',
    message: expect.stringMatching(/http:\/\/10\.0\.0\.6:7420.*https:\/\/remit\.example\.com/),
  });
  // Another tenant's nodes give other tokens.
  await start('n3', 'https://other.example.com', 'other');
});

it('where no other runs any more it may be another from now on', async () => {
  const { running, start } = makeStore();
  await start('n1', 'https://old.example.com');
  running.push({ name: 'n1', leftMs: 4_000 }, { name: 'n2', leftMs: 0 });
  await start('n1', 'https://new.example.com');
  running.push({ name: 'n3', leftMs: 4_000 });
  await expect(start('n4', 'https://old.example.com')).rejects.toMatchObject({ code: 'ERR_CONFIG_INVALID' });
  await start('n4', 'https://new.example.com');
});

it('a store that is one gateway’s alone is not asked', async () => {
  const store = {} as Workspace['store'];
  await assertSameUrl({ store } as Workspace, 'https://remit.example.com');
});
