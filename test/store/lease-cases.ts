import { expect, test } from 'vitest';
import { connectorId, leaseId, taskId, toolRef } from '../../src/domain/ids.ts';
import type { StoreFixture } from '../suites/store-suite.ts';
import { ACME, NOW, RIVAL, sampleLease } from './samples.ts';

const ONE = leaseId('lse_one');

export function testLeases(current: () => StoreFixture): void {
  test('a lease comes back as it was written, without any task beside it', async () => {
    const { leases } = current().store;
    const full = sampleLease({
      id: leaseId('lse_full'),
      state: 'lapsing',
      revocation: 'expiry_only',
      mode: 'task_tool',
      tool: toolRef(connectorId('shop'), 'refund'),
      downstream: 'shop-db:5432/shop',
      scope: 'select on public.orders',
      nativeExpiresAt: NOW + 5,
      endedAt: NOW + 6,
      endReason: 'task ended',
      attempts: 3,
      lastError: 'refused',
    });
    await leases.insert(sampleLease());
    await leases.insert(full);
    expect(await leases.get(ACME, ONE)).toEqual(sampleLease());
    expect(await leases.get(ACME, full.id)).toEqual(full);
    expect(await leases.get(ACME, leaseId('lse_none'))).toBeUndefined();
  });

  test('leases are listed by task and by states', async () => {
    const { leases } = current().store;
    await leases.insert(sampleLease({ id: leaseId('lse_b'), state: 'active', intendedAt: NOW + 1 }));
    await leases.insert(sampleLease());
    await leases.insert(sampleLease({ id: leaseId('lse_c'), task: taskId('tsk_two'), intendedAt: NOW + 2 }));
    const ids = async (filter: Parameters<typeof leases.list>[1]) =>
      (await leases.list(ACME, filter)).map(({ id }) => id);
    expect(await ids({})).toEqual(['lse_one', 'lse_b', 'lse_c']);
    expect(await ids({ task: taskId('tsk_one') })).toEqual(['lse_one', 'lse_b']);
    expect(await ids({ states: ['active', 'revoking'] })).toEqual(['lse_b']);
    expect(await ids({ task: taskId('tsk_two'), states: ['intended'] })).toEqual(['lse_c']);
    expect(await ids({ states: [] })).toEqual([]);
  });

  test('an update changes the named fields only, and clears what is undefined', async () => {
    const { leases } = current().store;
    await leases.insert(sampleLease());
    const issued = { state: 'active', scope: 'select on public.orders', nativeExpiresAt: NOW + 9 } as const;
    expect(await leases.update(ACME, ONE, ['intended'], issued)).toBe(true);
    expect(await leases.get(ACME, ONE)).toEqual({ ...sampleLease(), ...issued });
    expect(await leases.update(ACME, ONE, ['active'], { lastError: 'gone', attempts: 2 })).toBe(true);
    expect(await leases.get(ACME, ONE)).toEqual({ ...sampleLease(), ...issued, lastError: 'gone', attempts: 2 });
    const cleared = { nativeExpiresAt: undefined, lastError: undefined, endReason: 'revoked', endedAt: NOW };
    expect(await leases.update(ACME, ONE, ['active'], cleared)).toBe(true);
    expect(await leases.get(ACME, ONE)).toEqual({ ...sampleLease(), ...issued, ...cleared, attempts: 2 });
  });

  test('L2 a handle is stored with the state that it belongs to, given back as it was, and cleared', async () => {
    const { leases } = current().store;
    await leases.insert(sampleLease());
    const handle = { keyId: 'k1', envelope: Buffer.from([0, 1, 255]) };
    expect(await leases.handle(ACME, ONE)).toBeUndefined();
    expect(await leases.update(ACME, ONE, ['active'], { state: 'revoking', handle })).toBe(false);
    expect(await leases.handle(ACME, ONE)).toBeUndefined();
    expect(await leases.update(ACME, ONE, ['intended'], { state: 'active', handle })).toBe(true);
    expect(await leases.update(ACME, ONE, ['active'], { state: 'revoking' })).toBe(true);
    expect(await leases.handle(ACME, ONE)).toEqual(handle);
    expect(await leases.handle(RIVAL, ONE)).toBeUndefined();
    expect(await leases.update(ACME, ONE, ['revoking'], { state: 'ended', handle: undefined })).toBe(true);
    expect(await leases.handle(ACME, ONE)).toBeUndefined();
    expect(await leases.handle(ACME, leaseId('lse_none'))).toBeUndefined();
  });

  test('an update from another state changes nothing', async () => {
    const { leases } = current().store;
    await leases.insert(sampleLease());
    expect(await leases.update(ACME, ONE, ['active', 'revoking'], { state: 'ended' })).toBe(false);
    expect(await leases.update(ACME, ONE, [], { state: 'ended' })).toBe(false);
    expect(await leases.update(ACME, ONE, ['ended'], {})).toBe(false);
    expect(await leases.update(ACME, ONE, ['intended'], {})).toBe(true);
    expect(await leases.get(ACME, ONE)).toEqual(sampleLease());
  });

  test('of callers that race for one transition exactly one makes it', async () => {
    const { store, openAnother } = current();
    const other = await openAnother();
    for (let round = 0; round < 5; round++) {
      const id = leaseId(`lse_round${round}`);
      await store.leases.insert(sampleLease({ id, state: 'active' }));
      const attempts = Array.from({ length: 12 }, (_, n) =>
        (n % 2 === 0 ? store : other).leases.update(ACME, id, ['intended', 'active'], {
          state: 'revoking',
          endReason: `caller ${n}`,
        }),
      );
      const wins = await Promise.all(attempts);
      expect(wins.filter(Boolean)).toHaveLength(1);
      expect((await store.leases.get(ACME, id))?.endReason).toBe(`caller ${wins.indexOf(true)}`);
    }
  });

  test('I1 another tenant neither sees nor changes a lease', async () => {
    const { leases } = current().store;
    await leases.insert(sampleLease());
    expect(await leases.get(RIVAL, ONE)).toBeUndefined();
    expect(await leases.list(RIVAL)).toEqual([]);
    expect(await leases.list(RIVAL, { task: taskId('tsk_one'), states: ['intended'] })).toEqual([]);
    expect(await leases.update(RIVAL, ONE, ['intended'], { state: 'ended' })).toBe(false);
    expect(await leases.get(ACME, ONE)).toEqual(sampleLease());
  });
}
