import { expect, test } from 'vitest';
import { connectorId, leaseId, taskId, toolRef } from '../../src/domain/ids.ts';
import type { StoreFixture } from '../suites/store-suite.ts';
import { ACME, NOW, RIVAL, sampleLease } from './samples.ts';

const ONE = leaseId('lse_one');
const KEY = { tenant: ACME, id: ONE, fence: 1 };

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
    expect(await leases.update(KEY, ['intended'], issued)).toBe(true);
    expect(await leases.get(ACME, ONE)).toEqual({ ...sampleLease(), ...issued });
    expect(await leases.update(KEY, ['active'], { lastError: 'gone', attempts: 2 })).toBe(true);
    expect(await leases.get(ACME, ONE)).toEqual({ ...sampleLease(), ...issued, lastError: 'gone', attempts: 2 });
    const cleared = { nativeExpiresAt: undefined, lastError: undefined, endReason: 'revoked', endedAt: NOW };
    expect(await leases.update(KEY, ['active'], cleared)).toBe(true);
    expect(await leases.get(ACME, ONE)).toEqual({ ...sampleLease(), ...issued, ...cleared, attempts: 2 });
  });

  test('L2 a handle is stored with the state that it belongs to, given back as it was, and cleared', async () => {
    const { leases } = current().store;
    await leases.insert(sampleLease());
    const handle = { keyId: 'k1', envelope: Buffer.from([0, 1, 255]) };
    expect(await leases.handle(ACME, ONE)).toBeUndefined();
    expect(await leases.update(KEY, ['active'], { state: 'revoking', handle })).toBe(false);
    expect(await leases.handle(ACME, ONE)).toBeUndefined();
    expect(await leases.update(KEY, ['intended'], { state: 'active', handle })).toBe(true);
    expect(await leases.update(KEY, ['active'], { state: 'revoking' })).toBe(true);
    expect(await leases.handle(ACME, ONE)).toEqual(handle);
    expect(await leases.handle(RIVAL, ONE)).toBeUndefined();
    expect(await leases.update(KEY, ['revoking'], { state: 'ended', handle: undefined })).toBe(true);
    expect(await leases.handle(ACME, ONE)).toBeUndefined();
    expect(await leases.handle(ACME, leaseId('lse_none'))).toBeUndefined();
  });

  test('an update from another state changes nothing', async () => {
    const { leases } = current().store;
    await leases.insert(sampleLease());
    expect(await leases.update(KEY, ['active', 'revoking'], { state: 'ended' })).toBe(false);
    expect(await leases.update(KEY, [], { state: 'ended' })).toBe(false);
    expect(await leases.update(KEY, ['ended'], {})).toBe(false);
    expect(await leases.update(KEY, ['intended'], {})).toBe(true);
    expect(await leases.get(ACME, ONE)).toEqual(sampleLease());
  });

  test('of callers that race for one transition exactly one makes it', async () => {
    const { store, openAnother } = current();
    const other = await openAnother();
    for (let round = 0; round < 5; round++) {
      const id = leaseId(`lse_round${round}`);
      await store.leases.insert(sampleLease({ id, state: 'active' }));
      const attempts = Array.from({ length: 12 }, (_, n) =>
        (n % 2 === 0 ? store : other).leases.update({ tenant: ACME, id, fence: 1 }, ['intended', 'active'], {
          state: 'revoking',
          endReason: `caller ${n}`,
        }),
      );
      const wins = await Promise.all(attempts);
      expect(wins.filter(Boolean)).toHaveLength(1);
      expect((await store.leases.get(ACME, id))?.endReason).toBe(`caller ${wins.indexOf(true)}`);
    }
  });

  test('only what is due is claimed, the longest overdue first, a few at a time, and once', async () => {
    const { leases, leaseClaims } = current().store;
    for (const [name, claimedUntil, more] of [
      ['late', NOW - 2, {}],
      ['later', NOW - 1, { state: 'lapsing' }],
      ['now', NOW, { state: 'revoking' }],
      ['held', NOW + 7, { state: 'active' }],
      ['ended', NOW - 9, { state: 'ended' }],
      ['elsewhere', NOW - 9, { downstream: 'other-db' }],
    ] as const) {
      await leases.insert(sampleLease({ id: leaseId(`lse_${name}`), downstream: 'db', claimedUntil, ...more }));
    }
    const theirs = sampleLease({ id: leaseId('lse_late'), tenant: RIVAL, downstream: 'db', state: 'ended' });
    await leases.insert(theirs);
    expect(await leaseClaims.due(ACME, NOW)).toEqual({ downstreams: ['db', 'other-db'], next: NOW + 7 });
    const claim = { by: 'me', at: NOW, until: NOW + 60, downstream: 'db', limit: 2 };
    const claimed = await leaseClaims.claimDue(ACME, claim);
    expect(claimed.map(({ id }) => id).sort()).toEqual(['lse_late', 'lse_later']);
    for (const lease of claimed) {
      expect(lease).toMatchObject({ claimedBy: 'me', claimedUntil: NOW + 60, fence: 2 });
      expect(await leases.get(ACME, lease.id)).toEqual(lease);
    }
    expect(claimed.map(({ state }) => state).sort()).toEqual(['intended', 'lapsing']);
    expect(await leaseClaims.claimDue(ACME, claim)).toMatchObject([{ id: 'lse_now', state: 'revoking' }]);
    expect(await leaseClaims.claimDue(ACME, claim)).toEqual([]);
    expect(await leaseClaims.due(ACME, NOW)).toEqual({ downstreams: ['other-db'], next: NOW + 7 });
    // A claim that is over is one that anybody may make.
    expect(await leaseClaims.claimDue(ACME, { ...claim, at: NOW + 60, by: 'other' })).toHaveLength(2);
    expect(await leases.get(RIVAL, theirs.id), 'I1').toEqual(theirs);
    expect(await leaseClaims.due(RIVAL, NOW + 99)).toEqual({ downstreams: [], next: undefined });
    expect(await leaseClaims.claimDue(RIVAL, { ...claim, at: NOW + 99 })).toEqual([]);
  });

  test('L4 of claimants that race no two get the same lease, and together they get all', async () => {
    const { store, openAnother } = current();
    const other = await openAnother();
    for (let n = 0; n < 60; n++) {
      await store.leases.insert(sampleLease({ id: leaseId(`lse_${n}`), downstream: 'db', claimedUntil: NOW - 1 }));
    }
    const drain = async ({ leaseClaims }: typeof store, by: string): Promise<string[]> => {
      const ids: string[] = [];
      for (;;) {
        const claim = { by, at: NOW, until: NOW + 60, downstream: 'db', limit: 7 };
        const claimed = await leaseClaims.claimDue(ACME, claim);
        if (claimed.length === 0) return ids;
        expect(claimed.length).toBeLessThanOrEqual(7);
        ids.push(...claimed.map(({ id }) => id));
      }
    };
    const taken = (
      await Promise.all([drain(store, 'a'), drain(other, 'b'), drain(store, 'c'), drain(other, 'd')])
    ).flat();
    // Rows that a rival held while it asked may have been passed over by the last to ask.
    taken.push(...(await drain(store, 'e')));
    expect(taken).toHaveLength(60);
    expect(new Set(taken).size).toBe(60);
  });

  test('fault 9 a change under an earlier claim is refused, and the later claimant’s stands', async () => {
    const { leases, leaseClaims } = current().store;
    await leases.insert(sampleLease({ downstream: 'db', claimedUntil: NOW }));
    const claim = { at: NOW, until: NOW + 60, downstream: 'db', limit: 9 };
    const [stopped] = await leaseClaims.claimDue(ACME, { ...claim, by: 'stopped' });
    const [next] = await leaseClaims.claimDue(ACME, { ...claim, at: NOW + 60, by: 'next' });
    if (stopped === undefined || next === undefined) return expect.unreachable('each had the lease');
    expect(await leases.update(next, ['intended'], { state: 'ended', endReason: 'next' })).toBe(true);
    const handle = { keyId: 'k', envelope: Buffer.from('h') };
    expect(await leases.update(stopped, ['intended', 'ended'], { state: 'revoking', handle })).toBe(false);
    expect(await leases.get(ACME, ONE)).toMatchObject({
      state: 'ended',
      endReason: 'next',
      claimedBy: 'next',
      fence: 3,
    });
    expect(await leases.handle(ACME, ONE)).toBeUndefined();
  });

  test('a lease is taken over whatever its state and claim, and only where it is', async () => {
    const { leases, leaseClaims } = current().store;
    await leases.insert(sampleLease({ state: 'ended', claimedUntil: NOW + 60 }));
    const taken = await leaseClaims.takeOver(KEY, { by: 'me', until: NOW + 5 });
    expect(taken).toEqual({ ...sampleLease({ state: 'ended' }), claimedBy: 'me', claimedUntil: NOW + 5, fence: 2 });
    expect(await leases.update(KEY, ['ended'], { attempts: 1 })).toBe(false);
    expect(await leaseClaims.takeOver({ ...KEY, tenant: RIVAL }, { by: 'me', until: NOW })).toBeUndefined();
    expect(await leaseClaims.takeOver({ ...KEY, id: leaseId('lse_none') }, { by: 'me', until: NOW })).toBeUndefined();
  });

  test('claims of others are released, mine and what has ended or lapses are not', async () => {
    const { leases, leaseClaims } = current().store;
    for (const [name, claimedBy, state, endReason] of [
      ['gone', 'gone', 'active', undefined],
      ['half', 'gone', 'revoking', 'expired'],
      ['mine', 'me', 'active', undefined],
      ['lapsing', 'gone', 'lapsing', 'expired'],
      ['ended', 'gone', 'ended', 'expired'],
    ] as const) {
      const id = leaseId(`lse_${name}`);
      await leases.insert(sampleLease({ id, claimedBy, state, endReason, claimedUntil: NOW + 9, downstream: 'db' }));
    }
    expect(await leaseClaims.releaseOthers(RIVAL, 'me', NOW, 'restarted')).toBe(0);
    const theirs = sampleLease({
      id: leaseId('lse_gone'),
      tenant: RIVAL,
      claimedBy: 'gone',
      claimedUntil: NOW + 9,
      downstream: 'db',
    });
    await leases.insert(theirs);
    expect(await leaseClaims.releaseOthers(ACME, 'me', NOW, 'restarted')).toBe(2);
    const claim = { by: 'me', at: NOW, until: NOW + 60, downstream: 'db', limit: 9 };
    const claimed = await leaseClaims.claimDue(ACME, claim);
    expect(new Map(claimed.map((lease) => [lease.id, [lease.endReason, lease.fence]]))).toEqual(
      new Map([
        ['lse_gone', ['restarted', 3]],
        ['lse_half', ['expired', 3]],
      ]),
    );
    expect(await leases.get(RIVAL, theirs.id)).toEqual(theirs);
    // A start of the one must not find what the other has in use: each has its own fence.
    expect(await leases.update({ tenant: ACME, id: leaseId('lse_gone'), fence: 1 }, ['active'], { attempts: 1 })).toBe(
      false,
    );
  });

  test('I1 another tenant neither sees nor changes a lease', async () => {
    const { leases } = current().store;
    await leases.insert(sampleLease());
    expect(await leases.get(RIVAL, ONE)).toBeUndefined();
    expect(await leases.list(RIVAL)).toEqual([]);
    expect(await leases.list(RIVAL, { task: taskId('tsk_one'), states: ['intended'] })).toEqual([]);
    expect(await leases.update({ ...KEY, tenant: RIVAL }, ['intended'], { state: 'ended' })).toBe(false);
    expect(await leases.get(ACME, ONE)).toEqual(sampleLease());
  });
}
