import { describe, expect, it } from 'vitest';
import type { HeldLease } from '../../src/leases/held-lease.ts';
import { reapLeases } from '../../src/leases/reap.ts';
import { createFakeIssuer, createGate, holdIssue } from '../support/fake-issuer.ts';
import { createWorld, SHOP, type World } from './lease-world.ts';

const reaperOf = (world: World, name = 'reaper') => ({ ...world.context, claimant: name });

describe('who may act on a lease', () => {
  it('fault 9 a process that was stopped past its claim changes nothing: the outcome of the next claimant stands', async () => {
    const world = createWorld();
    const { issuer, manager, task, time, rowsOf } = world;
    const mine = task();
    const held = (await manager.acquire(mine, SHOP)) as HeldLease;
    // The gateway is stopped in the middle of its revoke.
    const stopped = createGate();
    issuer.revokeScripts.push(async (remove) => {
      await stopped.opened;
      remove();
    });
    const revoked = manager.revoke(held.lease.id, 'by hand');
    await time.settle();
    const [marked] = rowsOf(mine.id);
    expect(marked).toMatchObject({ state: 'revoking', claimedBy: world.context.claimant });
    expect((await reapLeases(reaperOf(world), 'expired')).ended, 'its claim holds').toEqual([]);
    // Everybody else's clock goes on; the timers of the stopped process do not.
    const late = { ...reaperOf(world), clock: () => (marked?.claimedUntil ?? 0) + 1 };
    expect((await reapLeases(late, 'expired')).ended).toMatchObject([{ id: held.lease.id }]);
    const [reaped] = rowsOf(mine.id);
    expect(reaped).toMatchObject({ state: 'ended', claimedBy: 'reaper' });

    stopped.open();
    expect(await revoked, 'is told what stands').toEqual(reaped);
    await time.advance(120_000);
    expect(rowsOf(mine.id)).toEqual([reaped]);
    expect(manager.counts().revoking).toBe(0);
  });

  it('fault 9 an issue that comes back past its claim is not served, and is revoked although its row had ended', async () => {
    const world = createWorld();
    const { issuer, manager, task, time, rowsOf } = world;
    const mine = task();
    const stopped = holdIssue(issuer);
    const refused = expect(manager.acquire(mine, SHOP)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    await time.settle();
    const late = { ...reaperOf(world), clock: () => time.clock() + 15_000 };
    expect((await reapLeases(late, 'expired')).ended).toHaveLength(1);
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'ended', fence: 2 }]);
    stopped.open();
    await refused;
    await time.settle();
    expect(issuer.live.size).toBe(0);
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'ended', endReason: 'issue_failed', fence: 3 }]);
  });

  it('fault 9 a lease that is over by the time that a stopped process goes on is not served', async () => {
    const stopped = createGate();
    const world: World = createWorld(createFakeIssuer(), {
      audit: (event) => (event.type === 'credential_issued' ? stopped.opened : Promise.resolve()),
    });
    const refused = expect(world.manager.acquire(world.task(), SHOP)).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_ISSUE',
    });
    await world.time.advance(300_000);
    stopped.open();
    await refused;
    await world.time.settle();
    expect(world.issuer.live.size).toBe(0);
  });

  it('a claimant that dies leaves its leases to the next sweep', async () => {
    const world = createWorld();
    const { issuer, manager, task, time, rowsOf } = world;
    await manager.recover();
    const mine = task();
    const held = (await manager.acquire(mine, SHOP)) as HeldLease;
    // Another process takes it in the middle of things, and is gone.
    await world.repository.claims.takeOver(held.lease, { by: 'gone', until: time.clock() + 30_000 });
    expect(await manager.revoke(held.lease.id, 'by hand')).toMatchObject({ state: 'active', claimedBy: 'gone' });
    expect(held.isLive, 'not used here any more').toBe(false);
    await time.advance(29_999);
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'active' }]);
    await time.advance(1);
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'ended' }]);
    expect(issuer.live.size).toBe(0);
  });

  it('two reapers at once revoke each lease once', async () => {
    const world = createWorld();
    const { issuer, manager, task, time } = world;
    for (let n = 0; n < 40; n++) await manager.acquire(task(), SHOP);
    manager.close();
    await time.advance(305_000);
    const [one, two] = await Promise.all([
      reapLeases(reaperOf(world, 'one'), 'expired'),
      reapLeases(reaperOf(world, 'two'), 'expired'),
    ]);
    expect(one.ended.length + two.ended.length).toBe(40);
    expect(issuer.revokes).toHaveLength(40);
    expect(issuer.live.size).toBe(0);
  });

  it('L4 a claim holds as long as working through it can take: who comes meanwhile finds nothing to do', async () => {
    const world = createWorld();
    const { issuer, manager, task, time, restart } = world;
    for (let n = 0; n < 8; n++) await manager.acquire(task(), SHOP);
    manager.close();
    const slow = (remove: () => void): Promise<void> =>
      new Promise((resolve) => {
        time.schedule(29_000, () => {
          remove();
          resolve();
        });
      });
    issuer.revokeScripts.push(...Array.from({ length: 8 }, () => slow));
    const next = restart();
    const recovering = next.recover();
    for (let waited = 0; waited < 115; waited += 5) {
      await time.advance(5_000);
      expect((await reapLeases(reaperOf(world), 'expired')).ended).toEqual([]);
    }
    await time.advance(5_000);
    await recovering;
    expect(issuer.revokes).toHaveLength(8);
    expect(issuer.live.size).toBe(0);
    next.close();
  });

  it('fault 9 a sweep that was stopped past its claim touches nothing that the next has ended', async () => {
    const world = createWorld();
    const { issuer, manager, task, time, rowsOf, repository } = world;
    const mine = task();
    await manager.acquire(mine, SHOP);
    manager.close();
    await time.advance(305_000);
    const stopped = createGate();
    const { claimDue } = repository.claims;
    (repository.claims as { claimDue: typeof claimDue }).claimDue = async (...what) => {
      const claimed = await claimDue(...what);
      if (what[1].by === 'stopped') await stopped.opened;
      return claimed;
    };
    const first = reapLeases(reaperOf(world, 'stopped'), 'expired');
    await time.settle();
    const late = { ...reaperOf(world, 'next'), clock: () => time.clock() + 600_000 };
    expect((await reapLeases(late, 'expired')).ended).toHaveLength(1);
    const rows = rowsOf(mine.id);
    stopped.open();
    expect(await first).toMatchObject({ ended: [], outstanding: [] });
    expect(rowsOf(mine.id)).toEqual(rows);
    expect(issuer.revokes).toHaveLength(1);
  });

  it('says so once when another process has ended what is held here, and goes on', async () => {
    const world = createWorld();
    const { issuer, manager, task, rowsOf } = world;
    const mine = task();
    const held = (await manager.acquire(mine, SHOP)) as HeldLease;
    expect((await reapLeases(reaperOf(world), 'all')).ended).toHaveLength(1);
    const [row] = rowsOf(mine.id);
    expect(await manager.revokeTask(mine.id, 'completed')).toEqual([row]);
    expect(held.isLive).toBe(false);
    expect(issuer.revokes).toHaveLength(1);
  });
});

describe('a sweep', () => {
  it('goes on with the other downstreams while one hangs, two at a time, and rests where all fails', async () => {
    const [good, bad] = [createFakeIssuer(), createFakeIssuer()];
    const hanging = { ...bad, downstream: 'hanging', revoke: bad.revoke };
    const templates = { environment: { T: '{token}' }, headers: {} };
    const world = createWorld(good, {
      issuerOf: (connector) => ({
        issuer: connector === SHOP ? good : hanging,
        mode: 'task',
        ttlSeconds: 300,
        templates,
      }),
    });
    const { manager, task, time, restart, repository } = world;
    for (let n = 0; n < 30; n++) {
      const mine = task();
      await manager.acquire(mine, SHOP);
      await manager.acquire(mine, 'other' as never);
    }
    manager.close();
    bad.revokeScripts.push(...Array.from({ length: 1_000 }, () => () => new Promise<void>(() => {})));
    const after = restart();
    const recovered = after.recover();
    await time.advance(2_000);
    expect(await recovered).toEqual({ found: 60, outstanding: 30 });
    expect(good.live.size).toBe(0);
    expect(bad.revokes).toHaveLength(2);
    await time.advance(600_000);
    const left = [...repository.rows.values()].filter((row) => row.state !== 'ended');
    expect(left).toHaveLength(30);
    // Ten minutes of thirty seconds each, two at a time, and never more than that.
    expect(bad.revokes.length).toBeLessThanOrEqual(42);
    bad.revokeScripts.length = 0;
    await time.advance(600_000);
    expect(bad.live.size).toBe(0);
    expect([...repository.rows.values()].every((row) => row.state === 'ended')).toBe(true);
    after.close();
  });

  it('is tried again where the store cannot say what is due', async () => {
    const world = createWorld();
    const { manager, task, time, restart, repository } = world;
    await manager.acquire(task(), SHOP);
    manager.close();
    const { due } = repository.claims;
    let asked = 0;
    (repository.claims as { due: typeof due }).due = async (...what) => {
      if (++asked === 1) throw new Error('locked');
      return due(...what);
    };
    await restart().recover();
    await time.advance(60_000);
    expect(world.issuer.live.size).toBe(0);
  });
});
