import { describe, expect, it } from 'vitest';
import { RemitError } from '../../src/domain/errors.ts';
import { leaseId, taskId } from '../../src/domain/ids.ts';
import type { RevocationClass } from '../../src/domain/lease.ts';
import type { HeldLease } from '../../src/leases/held-lease.ts';
import type { Issuer } from '../../src/seams/issuer.ts';
import { createFakeIssuer, createGate, holdIssue, issueFault, revokeFault } from '../support/fake-issuer.ts';
import { createWorld, SHOP } from './lease-world.ts';

const NO_TEMPLATES = { environment: {}, headers: {} };

describe('revokeTask', () => {
  it('ends every lease of the task, in memory, downstream, store and record, and no other task’s', async () => {
    const { manager, issuer, task, rowsOf, events } = createWorld();
    const [mine, other] = [task(), task()];
    const held = (await manager.acquire(mine, SHOP)) as HeldLease;
    await manager.acquire(other, SHOP);
    const leases = await manager.revokeTask(mine.id, 'completed');
    expect(leases).toMatchObject([{ id: held.lease.id, state: 'ended', endReason: 'completed' }]);
    expect(held.isLive).toBe(false);
    expect(held.injection.environment.SHOP_TOKEN?.reveal()).toMatch(/^\0+$/);
    expect([...issuer.live.keys()]).toEqual([issuer.requests[1]?.tag]);
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'ended', endReason: 'completed', endedAt: expect.any(Number) }]);
    expect(rowsOf(other.id)).toMatchObject([{ state: 'active' }]);
    expect(events.at(-1)).toMatchObject({
      type: 'revocation',
      trace: mine.trace,
      user: 'https://idp.example#ada',
      lease: held.lease.id,
      detail: { outcome: 'revoked', reason: 'completed', revocation: 'immediate' },
    });
  });

  it('writes the state before it asks the downstream, and records before it says ended', async () => {
    const { manager, issuer, task, rowsOf, types } = createWorld();
    const mine = task();
    await manager.acquire(mine, SHOP);
    issuer.revokeScripts.push(async (remove) => {
      expect(rowsOf(mine.id)).toMatchObject([{ state: 'revoking', endReason: 'completed' }]);
      expect(types()).not.toContain('revocation');
      remove();
    });
    await manager.revokeTask(mine.id, 'completed');
    expect(issuer.revokes).toHaveLength(1);
  });

  it('ends the task for good: a call that comes late gets no lease', async () => {
    const { manager, issuer, task, time } = createWorld();
    const mine = task();
    await manager.revokeTask(mine.id, 'revoked');
    await expect(manager.acquire(mine, SHOP)).rejects.toMatchObject({ code: 'ERR_TASK_REFUSED' });
    await time.advance(3_500_000);
    await manager.revokeTask(task().id, 'another, which sweeps what is remembered');
    await expect(manager.acquire(mine, SHOP)).rejects.toMatchObject({ code: 'ERR_TASK_REFUSED' });
    expect(issuer.requests).toHaveLength(0);
  });

  it('an issue that is under way ends revoked, when it heeds its signal', async () => {
    const { manager, issuer, task, time, rowsOf } = createWorld();
    const mine = task();
    issuer.issueScripts.push(
      (_, request) =>
        new Promise((_resolve, reject) => request.signal.addEventListener('abort', () => reject(issueFault()))),
    );
    const refused = expect(manager.acquire(mine, SHOP)).rejects.toMatchObject({ code: 'ERR_TASK_REFUSED' });
    await time.settle();
    const leases = await manager.revokeTask(mine.id, 'revoked');
    await refused;
    // Not confirmed before the issue deadline has passed: so it is not called ended either.
    expect(leases).toMatchObject([{ state: 'revoking', endReason: 'revoked' }]);
    await time.advance(15_000);
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'ended', endReason: 'revoked' }]);
    expect(issuer.revokes).toHaveLength(2);
  });

  it('an issue that is under way ends revoked, when it does not heed its signal and succeeds later', async () => {
    const { manager, issuer, task, time, rowsOf, outcomes } = createWorld();
    const mine = task();
    const gate = holdIssue(issuer);
    const refused = expect(manager.acquire(mine, SHOP)).rejects.toMatchObject({ code: 'ERR_TASK_REFUSED' });
    await time.settle();
    expect(await manager.revokeTask(mine.id, 'revoked')).toMatchObject([{ state: 'revoking' }]);
    await refused;
    expect(outcomes()).toEqual([]);
    gate.open();
    await time.settle();
    expect(issuer.live.size).toBe(0);
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'ended' }]);
    expect(outcomes()).toEqual(['revoked']);
    await time.advance(3_600_000);
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'ended' }]);
  });

  it('an issue that succeeds while its revoke is being answered is revoked once more', async () => {
    const { manager, issuer, task, time, rowsOf } = createWorld();
    const mine = task();
    const issuing = holdIssue(issuer);
    const answering = createGate();
    issuer.revokeScripts.push(async (remove) => {
      remove();
      await answering.opened;
    });
    const refused = expect(manager.acquire(mine, SHOP)).rejects.toMatchObject({ code: 'ERR_TASK_REFUSED' });
    await time.settle();
    const revoked = manager.revokeTask(mine.id, 'revoked');
    await time.settle();
    issuing.open();
    await time.settle();
    expect(issuer.live.size).toBe(1);
    answering.open();
    await revoked;
    await refused;
    await time.advance(0);
    expect(issuer.live.size).toBe(0);
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'ended' }]);
  });

  it('an issue whose records are being written ends revoked', async () => {
    const recording = createGate();
    const world: ReturnType<typeof createWorld> = createWorld(createFakeIssuer(), {
      audit: async (event) => {
        if (event.type === 'credential_issued') await recording.opened;
      },
    });
    const mine = world.task();
    const refused = expect(world.manager.acquire(mine, SHOP)).rejects.toMatchObject({ code: 'ERR_TASK_REFUSED' });
    await world.time.settle();
    expect(world.issuer.live.size).toBe(1);
    const revoked = world.manager.revokeTask(mine.id, 'revoked');
    recording.open();
    expect(await revoked).toMatchObject([{ state: 'ended' }]);
    await refused;
    expect(world.issuer.live.size).toBe(0);
  });

  it('a task that ends while the intent is stored is never issued for', async () => {
    const storing = createGate();
    const world = createWorld();
    const insert = world.repository.insert;
    world.repository.insert = async (lease) => {
      await storing.opened;
      await insert(lease);
    };
    const mine = world.task();
    const refused = expect(world.manager.acquire(mine, SHOP)).rejects.toMatchObject({ code: 'ERR_TASK_REFUSED' });
    const revoked = world.manager.revokeTask(mine.id, 'revoked');
    storing.open();
    expect(await revoked).toMatchObject([{ state: 'ended', endReason: 'not_issued' }]);
    await refused;
    expect(world.issuer.requests).toHaveLength(0);
  });

  it('revokes rows of the task that this process does not hold', async () => {
    const before = createWorld();
    const mine = before.task();
    await before.manager.acquire(mine, SHOP);
    const { rows } = before.repository;
    const after = createWorld(before.issuer);
    for (const [id, row] of rows) after.repository.rows.set(id, row);
    expect(await after.manager.revokeTask(mine.id, 'revoked')).toMatchObject([{ state: 'ended' }]);
    expect(before.issuer.live.size).toBe(0);
  });

  it('revokes downstream although the store is down, says so, and catches up when it is back', async () => {
    const world = createWorld();
    const mine = world.task();
    await world.manager.acquire(mine, SHOP);
    const down = new RemitError('ERR_STORE_UNREACHABLE', 'down');
    const { update, list } = world.repository;
    world.repository.update = () => Promise.reject(down);
    world.repository.list = () => Promise.reject(down);
    await expect(world.manager.revokeTask(mine.id, 'revoked')).rejects.toBe(down);
    expect(world.issuer.live.size).toBe(0);
    expect(world.rowsOf(mine.id)).toMatchObject([{ state: 'active' }]);
    Object.assign(world.repository, { update, list });
    await world.time.advance(60_000);
    expect(world.rowsOf(mine.id)).toMatchObject([{ state: 'ended' }]);
  });

  it('does not say ended where the audit log does not take the record', async () => {
    let isFull = false;
    const world: ReturnType<typeof createWorld> = createWorld(createFakeIssuer(), {
      audit: async () => {
        if (isFull) throw new RemitError('ERR_JOURNAL_FULL', 'no space');
      },
    });
    const mine = world.task();
    await world.manager.acquire(mine, SHOP);
    isFull = true;
    expect(await world.manager.revokeTask(mine.id, 'revoked')).toMatchObject([{ state: 'revoking' }]);
    expect(world.issuer.live.size).toBe(0);
    isFull = false;
    await world.time.advance(60_000);
    expect(world.rowsOf(mine.id)).toMatchObject([{ state: 'ended' }]);
  });
});

describe('retries', () => {
  it('L4 never stop: capped backoff with jitter, until the downstream answers', async () => {
    const { manager, issuer, task, time, rowsOf, outcomes } = createWorld();
    const mine = task();
    await manager.acquire(mine, SHOP);
    const failures = 40;
    issuer.revokeScripts.push(...Array.from({ length: failures }, () => () => Promise.reject(revokeFault())));
    const leases = await manager.revokeTask(mine.id, 'revoked');
    expect(leases).toMatchObject([
      { state: 'revoking', attempts: 1, lastError: 'ERR_CREDENTIAL_REVOKE: the downstream is away' },
    ]);
    expect(outcomes()).toEqual(['failed']);
    await time.advance(500);
    expect(issuer.revokes.length).toBe(2);
    await time.advance(10 * 60_000);
    const tenMinutes = issuer.revokes.length;
    expect(tenMinutes).toBeGreaterThan(15);
    expect(tenMinutes).toBeLessThan(30);
    await time.advance(24 * 3_600_000);
    expect(issuer.revokes).toHaveLength(failures + 1);
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'ended', attempts: failures }]);
    expect(outcomes()).toEqual(['failed', 'revoked']);
    expect(time.pending).toBe(0);
  });

  it('one that waits is tried at once where it is ordered again, and the order says what came of it', async () => {
    const { manager, issuer, task, time, rowsOf } = createWorld();
    const mine = task();
    await manager.acquire(mine, SHOP);
    issuer.revokeScripts.push(...Array.from({ length: 20 }, () => () => Promise.reject(revokeFault())));
    await manager.revokeTask(mine.id, 'revoked');
    await time.advance(60_000);
    const before = issuer.revokes.length;
    expect(await manager.revokeTask(mine.id, 'again')).toMatchObject([{ state: 'revoking', attempts: before + 1 }]);
    issuer.revokeScripts.length = 0;
    expect(await manager.revokeTask(mine.id, 'again')).toMatchObject([{ state: 'ended', endReason: 'revoked' }]);
    expect(issuer.revokes).toHaveLength(before + 2);
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'ended' }]);
    await time.advance(120_000);
    expect(issuer.revokes).toHaveLength(before + 2);
    expect(time.pending).toBe(0);
  });

  it('orders at once share the attempt that is under way', async () => {
    const { manager, issuer, task } = createWorld();
    const mine = task();
    await manager.acquire(mine, SHOP);
    issuer.revokeScripts.push(() => Promise.reject(revokeFault()));
    await manager.revokeTask(mine.id, 'revoked');
    const orders = await Promise.all([1, 2, 3].map(() => manager.revokeTask(mine.id, 'again')));
    expect(orders.flat().map(({ state }) => state)).toEqual(['ended', 'ended', 'ended']);
    expect(issuer.revokes).toHaveLength(2);
  });

  it('a revoke that hangs counts as failed, and does not keep others waiting for ever', async () => {
    const { manager, issuer, task, time, rowsOf } = createWorld();
    const tasks = [task(), task(), task()];
    for (const one of tasks) await manager.acquire(one, SHOP);
    const hang = () => new Promise<void>(() => {});
    issuer.revokeScripts.push(hang, hang);
    const all = Promise.all(tasks.map((one) => manager.revokeTask(one.id, 'revoked')));
    await time.advance(31_000);
    await all;
    await time.advance(60_000);
    expect(issuer.live.size).toBe(0);
    expect(tasks.flatMap((one) => rowsOf(one.id)).map((row) => row.state)).toEqual(['ended', 'ended', 'ended']);
  });

  it('L4 are bounded per downstream: never more than two calls at once', async () => {
    const { manager, issuer, task } = createWorld();
    let [running, most] = [0, 0];
    for (let index = 0; index < 20; index++) {
      await manager.acquire(task(), SHOP);
      issuer.revokeScripts.push(async (remove) => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setImmediate(resolve));
        running--;
        remove();
      });
    }
    await manager.revokeAll('gateway_stopped');
    expect(most).toBe(2);
    expect(issuer.live.size).toBe(0);
    expect(manager.counts()).toEqual({ held: 0, issuing: 0, revoking: 0 });
  });

  it('L4 do not hold up serving: a lease is issued while revokes hang', async () => {
    const { manager, issuer, task, time } = createWorld();
    const mine = task();
    await manager.acquire(mine, SHOP);
    issuer.revokeScripts.push(() => new Promise<void>(() => {}));
    void manager.revokeTask(mine.id, 'revoked');
    await time.settle();
    await expect(manager.acquire(task(), SHOP)).resolves.toMatchObject({ isLive: true });
  });

  it('stop when the manager is closed', async () => {
    const { manager, issuer, task, time } = createWorld();
    const mine = task();
    await manager.acquire(mine, SHOP);
    issuer.revokeScripts.push(() => Promise.reject(revokeFault()));
    await manager.revokeTask(mine.id, 'revoked');
    manager.close();
    await time.advance(3_600_000);
    expect(issuer.revokes).toHaveLength(1);
    expect(time.pending).toBe(0);
  });
});

describe('revoke', () => {
  it('ends one lease; its task gets a new one', async () => {
    const { manager, issuer, task } = createWorld();
    const mine = task();
    const held = (await manager.acquire(mine, SHOP)) as HeldLease;
    expect(await manager.revoke(held.lease.id, 'by hand')).toMatchObject({ state: 'ended', endReason: 'by hand' });
    expect(held.isLive).toBe(false);
    const next = await manager.acquire(mine, SHOP);
    expect(next).not.toBe(held);
    expect(issuer.live.size).toBe(1);
    expect(await manager.revoke(held.lease.id, 'again')).toMatchObject({ state: 'ended', endReason: 'by hand' });
  });

  it('calls off a lease that is being issued', async () => {
    const { manager, issuer, task, time, rowsOf } = createWorld();
    const mine = task();
    const gate = holdIssue(issuer);
    const refused = expect(manager.acquire(mine, SHOP)).rejects.toMatchObject({ code: 'ERR_TASK_REFUSED' });
    await time.settle();
    const id = rowsOf(mine.id)[0]?.id ?? leaseId('');
    expect(await manager.revoke(id, 'by hand')).toMatchObject({ id, state: 'revoking' });
    await refused;
    gate.open();
    await time.settle();
    expect(issuer.live.size).toBe(0);
  });

  it('says ERR_NOT_FOUND for a lease there is not, and for another tenant’s', async () => {
    const { manager, repository, task } = createWorld();
    await expect(manager.revoke(leaseId('lse_nothing'), 'x')).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
    expect(await manager.revokeTask(taskId('tsk_nothing'), 'x')).toEqual([]);
    const held = (await manager.acquire(task(), SHOP)) as HeldLease;
    manager.close();
    repository.rows.set(held.lease.id, { ...held.lease, tenant: 'other' as never });
    const stranger = createWorld();
    stranger.repository.rows.set(held.lease.id, { ...held.lease, tenant: 'other' as never });
    await expect(stranger.manager.revoke(held.lease.id, 'x')).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
  });
});

describe('L7 what is claimed', () => {
  it('revoked at next use, where that is the class', async () => {
    const { manager, task, outcomes } = createWorld(createFakeIssuer({ revocation: 'next_use' }));
    const mine = task();
    await manager.acquire(mine, SHOP);
    expect(await manager.revokeTask(mine.id, 'revoked')).toMatchObject([{ state: 'ended', revocation: 'next_use' }]);
    expect(outcomes()).toEqual(['revoked_at_next_use']);
  });

  it('lapsing, never revoked, where the downstream only lets it expire; ended when it has', async () => {
    const world = createWorld(createFakeIssuer({ revocation: 'expiry_only', minTtlSeconds: 900 }));
    const mine = world.task();
    const held = (await world.manager.acquire(mine, SHOP)) as HeldLease;
    const end = world.time.clock() + 900_000;
    expect(await world.manager.revokeTask(mine.id, 'revoked')).toMatchObject([
      { state: 'lapsing', nativeExpiresAt: end },
    ]);
    expect(held.isLive).toBe(false);
    expect(world.events.at(-1)?.detail).toMatchObject({ outcome: 'lapsing', lapsesAt: new Date(end).toISOString() });
    await world.time.advance(899_999);
    expect(world.rowsOf(mine.id)).toMatchObject([{ state: 'lapsing', endedAt: undefined }]);
    await world.time.advance(1);
    expect(world.rowsOf(mine.id)).toMatchObject([{ state: 'ended', endedAt: end, endReason: 'revoked' }]);
    expect(world.outcomes()).toEqual(['lapsing', 'expired']);
  });

  it('L7 lapsing where its issuer can revoke no more, whatever was said when it was issued; and never the reverse', async () => {
    for (const [before, now, outcome] of [
      ['immediate', 'expiry_only', 'lapsing'],
      ['next_use', 'expiry_only', 'lapsing'],
      ['immediate', 'next_use', 'revoked_at_next_use'],
      ['expiry_only', 'immediate', 'lapsing'],
      ['next_use', 'immediate', 'revoked_at_next_use'],
    ] as const) {
      let revocation: RevocationClass = before;
      const issuer = createFakeIssuer();
      const changing: Issuer = {
        ...issuer,
        get revocation() {
          return revocation;
        },
      };
      const world = createWorld(issuer, {
        issuerOf: () => ({ issuer: changing, mode: 'task', ttlSeconds: 300, templates: NO_TEMPLATES }),
      });
      const mine = world.task();
      await world.manager.acquire(mine, SHOP);
      revocation = now;
      await world.manager.revokeTask(mine.id, 'revoked');
      expect(world.outcomes()).toEqual([outcome]);
      expect(world.rowsOf(mine.id)).toMatchObject([{ state: outcome === 'lapsing' ? 'lapsing' : 'ended' }]);
    }
  });

  it('a static secret lapses until its exception ends, however long that is', async () => {
    const issuer = createFakeIssuer({ revocation: 'expiry_only', nativeExpiresAt: () => undefined });
    const days = 86_400_000;
    const start = 1_700_000_000_000;
    const world = createWorld(issuer, {
      issuerOf: () => ({ issuer, mode: 'task', ttlSeconds: 300, templates: NO_TEMPLATES, lapsesAt: start + 40 * days }),
    });
    const mine = world.task();
    await world.manager.acquire(mine, SHOP);
    await world.manager.revokeTask(mine.id, 'revoked');
    await world.time.advance(39 * days);
    expect(world.rowsOf(mine.id)).toMatchObject([{ state: 'lapsing', nativeExpiresAt: undefined }]);
    await world.time.advance(2 * days);
    expect(world.rowsOf(mine.id)).toMatchObject([{ state: 'ended', endedAt: start + 40 * days }]);
    expect(world.time.pending).toBe(0);
  });

  it('nothing is called over where nothing says when', async () => {
    const issuer = createFakeIssuer({ revocation: 'expiry_only', nativeExpiresAt: () => undefined });
    const world = createWorld(issuer);
    const mine = world.task();
    await world.manager.acquire(mine, SHOP);
    await world.manager.revokeTask(mine.id, 'revoked');
    expect(world.events.at(-1)?.detail).toMatchObject({ outcome: 'lapsing', lapsesAt: 'never' });
    await world.time.advance(365 * 86_400_000);
    expect(world.rowsOf(mine.id)).toMatchObject([{ state: 'lapsing' }]);
  });
});
