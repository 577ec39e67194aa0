import { expect, it } from 'vitest';
import { createStaticIssuer } from '../../src/adapters/issuers/static-issuer.ts';
import { connectorId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';
import { createFakeIssuer } from '../support/fake-issuer.ts';
import { createWorld } from './lease-world.ts';

const SHOP = connectorId('shop');

it('L2 an exception that ends while a task runs ends its lease at that moment, and no other is given', async () => {
  const world = createWorld(createFakeIssuer(), { issuerOf: () => binding });
  const end = world.time.clock() + 90_000;
  const issuer = createStaticIssuer({
    downstream: 'a shop of old',
    secret: async () => ({ secret: new Secret('token'), version: 1 }),
    exception: { owner: 'erin', reason: 'no other', expires: new Date(end).toISOString() },
    clock: world.time.clock,
  });
  const templates = { environment: { TOKEN: '{token}' }, headers: {} };
  const binding = { issuer, mode: 'task', ttlSeconds: 300, templates, lapsesAt: end } as const;
  const mine = world.task();

  const held = await world.manager.acquire(mine, SHOP);
  expect(held?.lease.expiresAt).toBe(end);
  await world.time.advance(89_999);
  expect(await world.manager.acquire(mine, SHOP)).toMatchObject({ isLive: true });
  await world.time.advance(1);
  expect(held?.isLive).toBe(false);
  await expect(world.manager.acquire(mine, SHOP)).rejects.toMatchObject({ code: 'ERR_STATIC_WITHOUT_EXCEPTION' });
  await world.time.advance(60_000);
  expect(world.rowsOf(mine.id).filter(({ state }) => state !== 'ended')).toEqual([]);
});
