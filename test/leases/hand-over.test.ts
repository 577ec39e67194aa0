import { describe, expect, it } from 'vitest';
import { Secret } from '../../src/domain/secret.ts';
import type { HeldLease } from '../../src/leases/held-lease.ts';
import { createFakeIssuer, createGate, holdIssue } from '../support/fake-issuer.ts';
import { createWorld, SHOP } from './lease-world.ts';

/** Two nodes of one store, each a process that names its node in its claims. */
function twoNodes() {
  const world = createWorld(createFakeIssuer(), { node: 'na', claimant: 'gateway na 1' });
  const other = world.restart({ node: 'nb', claimant: 'gateway nb 1' });
  const acquire = async (manager: typeof other, task = world.task()): Promise<HeldLease> =>
    (await manager.acquire(task, SHOP)) as HeldLease;
  return { ...world, other, acquire };
}

describe('a task that another node goes on with', () => {
  it('L4 loses here what is held here, at once, and keeps what the other node has issued for it', async () => {
    const { manager, other, issuer, task, acquire, rowsOf } = twoNodes();
    const moved = task();
    const here = await acquire(manager, moved);
    const there = await acquire(other, moved);
    const dropping = manager.dropTask(moved.id, 'task_moved');
    expect(here.isLive, 'before anything is waited for').toBe(false);
    expect(await dropping).toMatchObject([{ id: here.lease.id, state: 'ended', endReason: 'task_moved' }]);
    expect(there.isLive).toBe(true);
    expect([...issuer.live.keys()]).toEqual([there.lease.tag]);
    expect(
      rowsOf(moved.id)
        .map(({ state }) => state)
        .sort(),
    ).toEqual(['active', 'ended']);
  });

  it('has none of what is being issued here meanwhile', async () => {
    const { manager, issuer, task, acquire, time } = twoNodes();
    const moved = task();
    const issuing = holdIssue(issuer);
    const refused = expect(acquire(manager, moved)).rejects.toMatchObject({ code: 'ERR_TASK_REFUSED' });
    await time.settle();
    const dropping = manager.dropTask(moved.id, 'task_moved');
    await refused;
    await dropping;
    issuing.open();
    await time.settle();
    expect(issuer.live.size).toBe(0);
  });

  it('has not ended: should it come back it gets a new one', async () => {
    const { manager, task, acquire } = twoNodes();
    const moved = task();
    await acquire(manager, moved);
    await manager.dropTask(moved.id, 'task_moved');
    expect((await acquire(manager, moved)).isLive).toBe(true);
  });
});

describe('what is ordered at one node of what another has issued', () => {
  it('ends what was there at the order, and not what the task got since, going on there', async () => {
    const { manager, other, issuer, task, acquire, time, repository } = twoNodes();
    const mine = task();
    const before = await acquire(other, mine);
    const reading = createGate();
    const { list } = repository;
    repository.list = async (...asked) => {
      await reading.opened;
      return list(...asked);
    };
    const suspended = manager.suspendTask(mine.id, 'suspended');
    await time.advance(1);
    await other.dropTask(mine.id, 'suspended');
    const since = await acquire(other, mine);
    reading.open();
    await suspended;
    expect([...issuer.live.keys()]).toEqual([since.lease.tag]);
    expect(repository.rows.get(before.lease.id)).toMatchObject({ state: 'ended' });
    expect(repository.rows.get(since.lease.id)).toMatchObject({ state: 'active' });
  });

  it('L4 one that it was just issuing has not ended before its issue can arrive no more', async () => {
    const { manager, other, issuer, task, acquire, time, rowsOf } = twoNodes();
    const mine = task();
    holdIssue(issuer);
    void acquire(other, mine).catch(() => {});
    await time.settle();
    const [intended] = rowsOf(mine.id);
    if (intended === undefined) return expect.unreachable('it is being issued');
    expect(await manager.revoke(intended.id, 'by hand')).toMatchObject({ state: 'revoking' });
    // The node that asked is gone; what it asked for arrives all the same.
    other.close();
    issuer.live.set(intended.tag, new Secret('late'));
    await time.advance(15_000);
    expect(issuer.live.size).toBe(0);
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'ended' }]);
  });
});

describe('a node that is lost', () => {
  it('L5 whoever buries it revokes what it held, soon, and nobody else’s', async () => {
    const { manager, other, restart, issuer, acquire, time, repository } = twoNodes();
    const third = restart({ node: 'nc', claimant: 'gateway nc 1' });
    const [own, theirs] = [await acquire(manager), await acquire(third)];
    const lost = await acquire(other);
    other.close();
    await manager.takeOver('nb');
    await time.advance(1);
    expect([...issuer.live.keys()].sort()).toEqual([own.lease.tag, theirs.lease.tag].sort());
    expect(repository.rows.get(lost.lease.id)).toMatchObject({ state: 'ended', endReason: 'gateway_lost' });
    expect([own.isLive, theirs.isLive]).toEqual([true, true]);
  });

  it('L5 what it held is ended by whoever is left, though nobody buries it and it came after they had looked', async () => {
    const { manager, other, issuer, acquire, time } = twoNodes();
    await manager.recover();
    await time.advance(1_000);
    const lost = await acquire(other);
    other.close();
    await time.advance(lost.lease.expiresAt - time.clock() + 5_000 + 60_000);
    expect(issuer.live.size).toBe(0);
    manager.close();
  });

  it('L4 an issue of its that comes back late is not used: the lease is another’s', async () => {
    const { manager, other, issuer, task, acquire, time, rowsOf } = twoNodes();
    const mine = task();
    const issuing = holdIssue(issuer);
    const refused = expect(acquire(other, mine)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    await time.settle();
    await manager.takeOver('nb');
    await time.settle();
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'revoking', claimedBy: 'gateway na 1' }]);
    issuing.open();
    await refused;
    await time.settle();
    expect(issuer.live.size).toBe(0);
  });

  it('L5 a start revokes what its own earlier life left, and lets that of other nodes be', async () => {
    const { other, restart, issuer, acquire, time } = twoNodes();
    const theirs = await acquire(other);
    const earlier = restart({ node: 'na', claimant: 'gateway na 2' });
    await acquire(earlier);
    earlier.close();
    const next = restart({ node: 'na', claimant: 'gateway na 3' });
    const recovering = next.recover();
    await time.advance(1);
    expect(await recovering).toEqual({ found: 1, outstanding: 0 });
    expect([...issuer.live.keys()]).toEqual([theirs.lease.tag]);
    next.close();
  });
});
