import { inspect } from 'node:util';
import { describe, expect, it, vi } from 'vitest';
import { RemitError } from '../../src/domain/errors.ts';
import { tenantId } from '../../src/domain/ids.ts';
import type { Lease } from '../../src/domain/lease.ts';
import type { HeldLease } from '../../src/leases/held-lease.ts';
import { createFakeIssuer, createGate, holdIssue, issueFault } from '../support/fake-issuer.ts';
import { createWorld, PLAIN, SHOP } from './lease-world.ts';

describe('acquire', () => {
  it('issues once, and then gives the held lease from memory without a promise', async () => {
    const { manager, issuer, task } = createWorld();
    const mine = task();
    const held = await manager.acquire(mine, SHOP);
    expect(held?.injection.environment.SHOP_TOKEN?.reveal()).toBe(issuer.tokens[0]?.reveal());
    expect(manager.acquire(mine, SHOP)).toBe(held);
    expect(issuer.requests).toHaveLength(1);
  });

  it('is undefined for a connector that needs no credential', () => {
    const { manager, task } = createWorld();
    expect(manager.acquire(task(), PLAIN)).toBeUndefined();
  });

  it('asks the issuer for the task’s resources of this connector, and for no longer than the task', async () => {
    const { manager, issuer, task, time, rowsOf } = createWorld();
    const mine = task({ expiresAt: time.clock() + 60_000 });
    await manager.acquire(mine, SHOP);
    expect(issuer.requests[0]).toMatchObject({
      resources: ['public.orders'],
      actionClasses: ['read'],
      expiresAt: mine.expiresAt,
      tag: expect.stringMatching(/^remit_[0-9a-z]{24}$/),
    });
    expect(rowsOf(mine.id)).toMatchObject([
      {
        state: 'active',
        scope: 'everything of public.orders',
        expiresAt: mine.expiresAt,
        nativeExpiresAt: mine.expiresAt,
      },
    ]);
  });

  it('issues once for all who ask at the same time, and apart for each task', async () => {
    const { manager, issuer, task } = createWorld();
    const [one, other] = [task(), task()];
    const held = await Promise.all([
      ...Array.from({ length: 20 }, () => manager.acquire(one, SHOP)),
      manager.acquire(other, SHOP),
    ]);
    expect(issuer.requests).toHaveLength(2);
    expect(new Set(held).size).toBe(2);
    expect(held[0]).not.toBe(held[20]);
  });

  it('L1 does not call the issuer before the intent is durable in the store and in the audit log', async () => {
    const [stored, recorded] = [createGate(), createGate()];
    const world = createWorld(createFakeIssuer(), {
      audit: async (event) => {
        if (event.type === 'credential_intended') await recorded.opened;
      },
    });
    const insert = world.repository.insert;
    world.repository.insert = async (lease) => {
      await stored.opened;
      await insert(lease);
    };
    const acquired = world.manager.acquire(world.task(), SHOP);
    await world.time.settle();
    expect(world.issuer.requests).toHaveLength(0);
    stored.open();
    await world.time.settle();
    expect(world.issuer.requests).toHaveLength(0);
    recorded.open();
    await acquired;
    expect(world.issuer.requests).toHaveLength(1);
  });

  it('L1 the intent holds what revoking needs: id, tag, connector, issue deadline, native expiry', async () => {
    const world = createWorld();
    const mine = world.task();
    let intended: Lease | undefined;
    world.issuer.issueScripts.push(async (commit) => {
      [intended] = world.rowsOf(mine.id);
      expect(world.types()).toEqual(['credential_intended']);
      commit();
    });
    await world.manager.acquire(mine, SHOP);
    expect(intended).toMatchObject({
      state: 'intended',
      tag: world.issuer.requests[0]?.tag,
      connector: SHOP,
      issuer: 'fake',
      issueDeadline: world.time.clock() + 10_000,
      nativeExpiresAt: world.time.clock() + 300_000,
    });
  });

  it.each(['insert', 'audit'] as const)(
    'L1 calls no issuer when the intent cannot be stored (%s fails)',
    async (failing) => {
      const full = new RemitError('ERR_STORE_FULL', 'no space');
      const world = createWorld(createFakeIssuer(), failing === 'audit' ? { audit: () => Promise.reject(full) } : {});
      if (failing === 'insert') world.repository.insert = () => Promise.reject(full);
      const mine = world.task();
      await expect(world.manager.acquire(mine, SHOP)).rejects.toBe(full);
      expect(world.issuer.requests).toHaveLength(0);
      expect(world.rowsOf(mine.id).filter((row) => row.state !== 'ended')).toEqual([]);
      expect(world.manager.counts()).toEqual({ held: 0, issuing: 0, revoking: 0 });
    },
  );

  it('L1 calls no issuer when storing the intent took longer than the issue deadline', async () => {
    const world = createWorld();
    const insert = world.repository.insert;
    world.repository.insert = async (lease) => {
      await insert(lease);
      await world.time.advance(10_000);
    };
    await expect(world.manager.acquire(world.task(), SHOP)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    expect(world.issuer.requests).toHaveLength(0);
  });

  it.each(['update', 'audit'] as const)(
    'revokes what was issued when it cannot be recorded (%s fails)',
    async (failing) => {
      const failure = new RemitError('ERR_JOURNAL_FULL', 'no space');
      const world: ReturnType<typeof createWorld> = createWorld(createFakeIssuer(), {
        audit: async (event) => {
          if (failing === 'audit' && event.type === 'credential_issued') throw failure;
        },
      });
      const update = world.repository.update;
      world.repository.update = async (lease, from, change) => {
        if (failing === 'update' && change.state === 'active') throw failure;
        return update(lease, from, change);
      };
      const mine = world.task();
      await expect(world.manager.acquire(mine, SHOP)).rejects.toBe(failure);
      await world.time.settle();
      expect(world.issuer.live.size).toBe(0);
      expect(world.rowsOf(mine.id)).toMatchObject([{ state: 'ended' }]);
    },
  );

  it('L3 refuses and revokes a credential that outlives its lease', async () => {
    const issuer = createFakeIssuer({ nativeExpiresAt: (request) => request.expiresAt + 5_001 });
    const { manager, task, time } = createWorld(issuer);
    await expect(manager.acquire(task(), SHOP)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    await time.settle();
    expect(issuer.live.size).toBe(0);
  });

  it('L3 asks for the downstream’s shortest lifetime where a lease is shorter, and records it', async () => {
    const issuer = createFakeIssuer({ minTtlSeconds: 900 });
    const { manager, task, time, rowsOf } = createWorld(issuer);
    const mine = task();
    await manager.acquire(mine, SHOP);
    expect(issuer.requests[0]?.expiresAt).toBe(time.clock() + 900_000);
    expect(rowsOf(mine.id)).toMatchObject([
      { expiresAt: time.clock() + 300_000, nativeExpiresAt: time.clock() + 900_000 },
    ]);
  });

  it('refuses after the issue deadline, and revokes what a late issue made', async () => {
    const world = createWorld();
    const mine = world.task();
    const gate = holdIssue(world.issuer);
    const acquired = world.manager.acquire(mine, SHOP);
    const outcome = expect(acquired).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_ISSUE',
      message: expect.stringContaining('deadline'),
    });
    await world.time.advance(10_000);
    await outcome;
    expect(world.issuer.requests[0]?.signal.aborted).toBe(true);
    expect(world.issuer.revokes).toHaveLength(1);
    expect(world.rowsOf(mine.id)).toMatchObject([{ state: 'revoking' }]);
    gate.open();
    await world.time.settle();
    await world.time.advance(0);
    expect(world.issuer.live.size).toBe(0);
    expect(world.rowsOf(mine.id)).toMatchObject([{ state: 'ended' }]);
  });

  it('revokes an issue that comes back long after everyone gave it up', async () => {
    const world = createWorld();
    const mine = world.task();
    const gate = holdIssue(world.issuer);
    const outcome = expect(world.manager.acquire(mine, SHOP)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    await world.time.advance(3_600_000);
    await outcome;
    expect(world.rowsOf(mine.id)).toMatchObject([{ state: 'ended' }]);
    gate.open();
    await world.time.settle();
    expect(world.issuer.live.size).toBe(0);
    expect(world.rowsOf(mine.id)).toMatchObject([{ state: 'ended', endReason: 'issued_late' }]);
  });

  it('L4 revokes a failed issue at once, and again after its deadline: it may have left something on its way', async () => {
    const world = createWorld();
    const mine = world.task();
    let commitLate = () => {};
    world.issuer.issueScripts.push(async (commit) => {
      commitLate = commit;
      throw issueFault();
    });
    await expect(world.manager.acquire(mine, SHOP)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    await world.time.settle();
    expect(world.issuer.revokes).toHaveLength(1);
    expect(world.rowsOf(mine.id)).toMatchObject([{ state: 'revoking', endReason: 'issue_failed' }]);
    await world.time.advance(14_000);
    commitLate();
    expect(world.issuer.revokes).toHaveLength(1);
    await world.time.advance(1_000);
    expect(world.issuer.revokes).toHaveLength(2);
    expect(world.issuer.live.size).toBe(0);
    expect(world.rowsOf(mine.id)).toMatchObject([{ state: 'ended' }]);
    expect(world.time.pending).toBe(0);
  });

  it('may be tried again after a failure, under a new lease', async () => {
    const { manager, issuer, task } = createWorld();
    const mine = task();
    issuer.issueScripts.push(() => Promise.reject(issueFault()));
    await expect(manager.acquire(mine, SHOP)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    await expect(manager.acquire(mine, SHOP)).resolves.toMatchObject({ isLive: true });
    expect(issuer.requests[0]?.tag).not.toBe(issuer.requests[1]?.tag);
  });

  it('hides what a faulty issuer throws: its text may hold anything', async () => {
    const world = createWorld();
    world.issuer.issueScripts.push(() => Promise.reject(new Error('password=hunter2')));
    const error: unknown = await Promise.resolve(world.manager.acquire(world.task(), SHOP)).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE', message: expect.not.stringContaining('hunter2') });
    world.issuer.revokeScripts.push(() => Promise.reject(new Error('password=hunter2')));
    await world.time.advance(60_000);
    expect(inspect([world.logged, world.events, [...world.repository.rows]], { depth: 9 })).not.toContain('hunter2');
  });

  it('refuses and revokes where the templates name a part that the credential has not', async () => {
    const issuer = createFakeIssuer();
    const templates = { environment: { A: '{nothing}' }, headers: {} };
    const { manager, task, time } = createWorld(issuer, {
      issuerOf: () => ({ issuer, mode: 'task', ttlSeconds: 300, templates }),
    });
    await expect(manager.acquire(task(), SHOP)).rejects.toMatchObject({ code: 'ERR_CONFIG_INVALID' });
    await time.settle();
    expect(issuer.live.size).toBe(0);
  });

  it.each([
    ['suspended', { state: 'suspended' }],
    ['ended', { state: 'ended' }],
    ['expired', { expiresAt: 1 }],
  ] as const)('refuses a task that is %s', async (_, change) => {
    const { manager, issuer, task } = createWorld();
    await expect(manager.acquire(task(change), SHOP)).rejects.toMatchObject({ code: 'ERR_TASK_REFUSED' });
    expect(issuer.requests).toHaveLength(0);
  });

  it('refuses a task of another tenant, and everything once closed', async () => {
    const { manager, task } = createWorld();
    await expect(manager.acquire(task({ tenant: tenantId('other') }), SHOP)).rejects.toMatchObject({
      code: 'ERR_INTERNAL',
    });
    const mine = task();
    const held = await manager.acquire(mine, SHOP);
    manager.close();
    expect(held?.isLive).toBe(false);
    await expect(manager.acquire(task(), SHOP)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
  });

  it('A2 records intent and issue with user, agent, task, connector, lease and trace', async () => {
    const { manager, events, task, rowsOf } = createWorld();
    const mine = task();
    await manager.acquire(mine, SHOP);
    const common = {
      tenant: mine.tenant,
      trace: mine.trace,
      user: 'https://idp.example#ada',
      agent: mine.agent,
      connector: SHOP,
      task: mine.id,
      lease: rowsOf(mine.id)[0]?.id,
    };
    expect(events).toMatchObject([
      { ...common, type: 'credential_intended', detail: { resources: ['public.orders'], revocation: 'immediate' } },
      { ...common, type: 'credential_issued', detail: { scope: 'everything of public.orders' } },
    ]);
  });

  it('L6 leaves no secret in rows, events, logs or what inspect shows of a held lease', async () => {
    const { manager, issuer, events, logged, repository, task, time } = createWorld();
    const held = await manager.acquire(task(), SHOP);
    const token = issuer.tokens[0]?.reveal() ?? '';
    issuer.revokeScripts.push(() => Promise.reject(issueFault()));
    await manager.revokeAll('test');
    await time.advance(60_000);
    const shown = inspect([held, events, logged, [...repository.rows], manager], { depth: 9, showHidden: true });
    expect(token).toMatch(/^canary-/);
    expect(shown).not.toContain(token);
  });
});

describe('renewal', () => {
  const LIFE = 300_000;

  it('mints a new lease in the last tenth of the old one’s life', async () => {
    const { manager, task, time } = createWorld();
    const mine = task();
    const first = await manager.acquire(mine, SHOP);
    await time.advance(LIFE * 0.9 - 1);
    expect(manager.acquire(mine, SHOP)).toBe(first);
    await time.advance(1);
    const second = await manager.acquire(mine, SHOP);
    expect(second).not.toBe(first);
    expect(manager.acquire(mine, SHOP)).toBe(second);
  });

  it('revokes the old one when its connections are closed and its users are done, not before', async () => {
    const closed = createGate();
    const onRetired = vi.fn(() => closed.opened);
    const { manager, issuer, task, time, rowsOf } = createWorld(createFakeIssuer(), { onRetired });
    const mine = task();
    const first = (await manager.acquire(mine, SHOP)) as HeldLease;
    const release = first.retain();
    expect(first.uses).toBe(1);
    await time.advance(LIFE * 0.95);
    await manager.acquire(mine, SHOP);
    await time.settle();
    expect(onRetired).toHaveBeenCalledExactlyOnceWith(first.lease, 'renewed');
    expect(first.isLive).toBe(true);
    release();
    release();
    await time.settle();
    expect(first.isLive).toBe(true);
    closed.open();
    await time.settle();
    expect(first.isLive).toBe(false);
    expect(first.uses).toBe(0);
    expect(issuer.live.size).toBe(1);
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'ended', endReason: 'renewed' }, { state: 'active' }]);
  });

  it('L3 revokes the old one when it expires, although it is still in use', async () => {
    const { manager, issuer, task, time } = createWorld(createFakeIssuer(), { onRetired: () => new Promise(() => {}) });
    const mine = task();
    const first = (await manager.acquire(mine, SHOP)) as HeldLease;
    first.retain();
    await time.advance(LIFE * 0.95);
    await manager.acquire(mine, SHOP);
    await time.advance(LIFE * 0.05);
    expect(first.isLive).toBe(false);
    expect(first.injection.environment.SHOP_TOKEN?.reveal()).toMatch(/^\0+$/);
    expect([...issuer.live.keys()]).toEqual([issuer.requests[1]?.tag]);
  });

  it('does not renew a lease that ends with its task', async () => {
    const { manager, issuer, task, time } = createWorld();
    const mine = task({ expiresAt: time.clock() + LIFE });
    const first = await manager.acquire(mine, SHOP);
    await time.advance(LIFE - 1);
    expect(manager.acquire(mine, SHOP)).toBe(first);
    await time.advance(1);
    await expect(manager.acquire(mine, SHOP)).rejects.toMatchObject({ code: 'ERR_TASK_REFUSED' });
    expect(issuer.live.size).toBe(0);
  });

  it('falls back to the old lease while that is good, without asking at every call', async () => {
    const { manager, issuer, task, time } = createWorld();
    const mine = task();
    const first = await manager.acquire(mine, SHOP);
    issuer.issueScripts.push(...[1, 2, 3].map(() => () => Promise.reject(issueFault())));
    await time.advance(LIFE * 0.9);
    expect(await manager.acquire(mine, SHOP)).toBe(first);
    expect(manager.acquire(mine, SHOP)).toBe(first);
    expect(issuer.requests).toHaveLength(2);
    await time.advance(5_000);
    expect(await manager.acquire(mine, SHOP)).toBe(first);
    expect(issuer.requests).toHaveLength(3);
    await time.advance(LIFE * 0.1);
    await expect(manager.acquire(mine, SHOP)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
  });

  it('L3 revokes a lease at its end although its task goes on', async () => {
    const onRetired = vi.fn();
    const { manager, issuer, task, time, rowsOf } = createWorld(createFakeIssuer(), { onRetired });
    const mine = task();
    const held = await manager.acquire(mine, SHOP);
    await time.advance(LIFE);
    expect(issuer.live.size).toBe(0);
    expect(held?.isLive).toBe(false);
    expect(onRetired).toHaveBeenCalledExactlyOnceWith(held?.lease, 'expired');
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'ended', endReason: 'expired' }]);
    expect(manager.counts()).toEqual({ held: 0, issuing: 0, revoking: 0 });
  });
});
