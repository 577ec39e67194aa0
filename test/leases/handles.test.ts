import { describe, expect, it } from 'vitest';
import { createLeaseManager } from '../../src/leases/lease-manager.ts';
import { reapLeases } from '../../src/leases/reap.ts';
import { createFakeIssuer, createGate, holdIssue, revokeFault } from '../support/fake-issuer.ts';
import { createWorld, SHOP, type World } from './lease-world.ts';

/** A downstream at which nothing is revoked without the handle that its issue gave. */
const createHandleWorld = () => createWorld(createFakeIssuer({ hasHandles: true }));

function handleOf({ issuer, repository }: World): string | undefined {
  const [tag] = issuer.live.keys();
  const row = [...repository.rows.values()].find((one) => one.tag === tag);
  return row && repository.handles.get(row.id)?.envelope.toString();
}

describe('what revoking needs beyond the tag', () => {
  it('L2 is sealed on the row before the credential is given out', async () => {
    const world = createHandleWorld();
    const { manager, repository, task } = world;
    const mine = task();
    const seen: unknown[] = [];
    const update = repository.update;
    repository.update = async (lease, from, change) => {
      seen.push([change.state, change.handle !== undefined]);
      return update(lease, from, change);
    };
    const held = await manager.acquire(mine, SHOP);
    expect(seen).toEqual([['active', true]]);
    expect(handleOf(world)).toBe(`${held?.lease.id}|handle of ${held?.lease.tag}`);
  });

  it('L2 comes back from the row: to the manager, after a restart, and to the reaper', async () => {
    for (const by of ['manager', 'restart', 'reaper'] as const) {
      const world = createHandleWorld();
      const { manager, issuer, task, context } = world;
      const mine = task();
      await manager.acquire(mine, SHOP);
      if (by === 'manager') await manager.revokeTask(mine.id, 'completed');
      else if (by === 'restart') await world.restart().recover();
      else await reapLeases({ ...context, claimant: 'reaper' }, 'all');
      expect(issuer.handles, by).toEqual([expect.stringMatching(/^handle of remit_/)]);
      expect(issuer.live.size, by).toBe(0);
      expect(world.rowsOf(mine.id)).toMatchObject([{ state: 'ended' }]);
      expect(world.repository.handles.size, 'nothing is left of it').toBe(0);
    }
  });

  it('L2 where it cannot be stored the credential is not given out, and is revoked', async () => {
    const world = createHandleWorld();
    const { issuer, task, options } = world;
    const handles = { ...options.handles, seal: () => Promise.reject(new Error('no vault key')) };
    const manager = createLeaseManager({ ...options, handles });
    await expect(manager.acquire(task(), SHOP)).rejects.toThrow('no vault key');
    await world.time.settle();
    expect(issuer.live.size).toBe(0);
  });

  it('L7 is lost in a crash between issue and record: the lease lapses until no such credential can live', async () => {
    const world = createHandleWorld();
    const { issuer, task, options, time, rowsOf } = world;
    const mine = task();
    const gate = createGate();
    issuer.issueScripts.push(async (commit) => {
      commit();
      await gate.opened;
    });
    const dead = createLeaseManager(options);
    void Promise.resolve(dead.acquire(mine, SHOP)).catch(() => {});
    await time.settle();
    dead.close();

    const restarted = world.restart();
    await restarted.recover();
    const [row] = rowsOf(mine.id);
    expect(row).toMatchObject({ state: 'lapsing', endedAt: undefined });
    expect(world.outcomes()).toEqual(['lapsing']);
    // Its whole life, from the last moment at which the issue call can have arrived.
    expect(row?.nativeExpiresAt).toBe(time.clock() + 10_000 + 5_000 + 300_000);
    expect(issuer.live.size, 'nobody could revoke it').toBe(1);
    await time.advance(315_000);
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'ended' }]);
    expect(world.outcomes()).toEqual(['lapsing', 'expired']);
  });

  it('L4 comes late, with an issue that everyone had given up: it is stored, and revokes', async () => {
    const world = createHandleWorld();
    const { issuer, manager, task, time, rowsOf } = world;
    const mine = task();
    const gate = holdIssue(issuer);
    const refused = expect(manager.acquire(mine, SHOP)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    await time.advance(12_000);
    await refused;
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'lapsing' }]);
    gate.open();
    await time.advance(0);
    expect(issuer.live.size).toBe(0);
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'ended' }]);
    expect(world.outcomes()).toEqual(['lapsing', 'revoked']);
  });

  it('L5 comes while the revoke is being answered, which then fails: it is stored, and a process after this one revokes by it', async () => {
    const world = createHandleWorld();
    const { issuer, manager, task, time, rowsOf } = world;
    const mine = task();
    const [answered, { revoke }] = [createGate(), issuer];
    issuer.revoke = async (...asked) => {
      if (issuer.revokes.length === 0) await answered.opened;
      await revoke(...asked);
    };
    const gate = holdIssue(issuer);
    void Promise.resolve(manager.acquire(mine, SHOP)).catch(() => {});
    await time.settle();
    const revoked = manager.revokeTask(mine.id, 'revoked');
    await time.settle();
    gate.open();
    await time.settle();
    issuer.revokeScripts.push(() => Promise.reject(revokeFault()));
    answered.open();
    await time.advance(0);
    await revoked;
    expect(issuer.live.size).toBe(1);
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'revoking', attempts: 2 }]);
    manager.close();
    const later = world.restart();
    await later.recover();
    await time.advance(60_000);
    expect(issuer.live.size).toBe(0);
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'ended' }]);
  });

  it('L4 a vault that cannot open it is a failure that is tried again, not a lost handle', async () => {
    const world = createHandleWorld();
    const { task, options, time, rowsOf, issuer } = world;
    const mine = task();
    await world.manager.acquire(mine, SHOP);
    let isOpen = false;
    const { open } = options.handles;
    const handles = {
      ...options.handles,
      open: (...row: Parameters<typeof open>) => (isOpen ? open(...row) : Promise.reject(new Error('another key'))),
    };
    await world.restart({ handles }).recover();
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'revoking', attempts: 1 }]);
    isOpen = true;
    // That it was issued is known from no row any more: conclusive once no issue call can arrive.
    await time.advance(20_000);
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'ended' }]);
    expect(issuer.live.size).toBe(0);
  });
});
