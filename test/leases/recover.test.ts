import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { RemitError } from '../../src/domain/errors.ts';
import { newLeaseId } from '../../src/domain/ids.ts';
import { type Lease, type LeaseState, leaseTag } from '../../src/domain/lease.ts';
import { Secret } from '../../src/domain/secret.ts';
import { reapLeases } from '../../src/leases/reap.ts';
import { createFakeIssuer, revokeFault } from '../support/fake-issuer.ts';
import { createWorld, PLAIN, SHOP, TENANT, type World } from './lease-world.ts';

/** A row, and at the downstream what it may stand for, as a process that is gone left them. */
function leave(world: World, state: LeaseState, change: Partial<Lease> = {}): Lease {
  const id = newLeaseId(randomBytes);
  const now = world.time.clock();
  const task = world.task();
  const lease: Lease = {
    id,
    tenant: TENANT,
    task: task.id,
    agent: task.agent,
    connector: SHOP,
    mode: 'task',
    tool: undefined,
    issuer: 'fake',
    downstream: 'memory',
    tag: leaseTag(id),
    state,
    revocation: world.issuer.revocation,
    scope: state === 'intended' ? '' : 'everything',
    intendedAt: now,
    issueDeadline: now + 10_000,
    expiresAt: now + 300_000,
    nativeExpiresAt: now + 300_000,
    endedAt: undefined,
    endReason: undefined,
    attempts: 0,
    failingSince: undefined,
    uses: 0,
    claimedBy: '',
    claimedUntil: claimOf(state, now, change),
    fence: 1,
    lastError: undefined,
    ...change,
  };
  world.repository.rows.set(id, lease);
  if (state !== 'ended') world.issuer.live.set(lease.tag, new Secret('left behind'));
  return lease;
}

/** As the process that is gone left it. */
function claimOf(state: LeaseState, now: number, change: Partial<Lease>): number {
  if (state === 'lapsing') return change.nativeExpiresAt ?? now + 300_000;
  if (state === 'revoking') return now;
  return 5_000 + (state === 'intended' ? (change.issueDeadline ?? now + 10_000) : (change.expiresAt ?? now + 300_000));
}

const row = (world: World, lease: Lease) => world.repository.rows.get(lease.id);

describe('recovery', () => {
  it('L5 revokes whatever an earlier process left open, and lets the rest be', async () => {
    const world = createWorld();
    const [active, revoking, ended] = [
      leave(world, 'active'),
      leave(world, 'revoking', { endReason: 'expired', attempts: 3, issueDeadline: world.time.clock() - 60_000 }),
      leave(world, 'ended', { endReason: 'completed' }),
    ];
    expect(await world.manager.recover()).toEqual({ found: 2, outstanding: 0 });
    expect(world.issuer.live.size).toBe(0);
    expect(row(world, active)).toMatchObject({ state: 'ended', endReason: 'gateway_restarted' });
    expect(row(world, revoking)).toMatchObject({ state: 'ended', endReason: 'expired' });
    expect(row(world, ended)).toEqual(ended);
    expect(world.outcomes()).toEqual(['revoked', 'revoked']);
  });

  it('L4 revokes an intended one now and once more after its issue deadline and the skew', async () => {
    const world = createWorld();
    const lease = leave(world, 'intended');
    world.issuer.live.clear();
    expect(await world.manager.recover()).toEqual({ found: 1, outstanding: 1 });
    expect(world.issuer.revokes).toEqual([lease.tag]);
    // The dead process's issue call arrives only now.
    world.issuer.live.set(lease.tag, new Secret('late'));
    await world.time.advance(14_999);
    expect(row(world, lease)).toMatchObject({ state: 'revoking' });
    await world.time.advance(1);
    expect(world.issuer.live.size).toBe(0);
    expect(row(world, lease)).toMatchObject({ state: 'ended' });
    expect(world.issuer.revokes).toEqual([lease.tag, lease.tag]);
  });

  it('names user and trace in the record where the task is still known', async () => {
    const world: World = createWorld(createFakeIssuer(), { taskOf: async (id) => ({ ...known, id }) });
    const known = world.task();
    leave(world, 'active');
    await world.manager.recover();
    expect(world.events.at(-1)).toMatchObject({ trace: known.trace, user: 'https://idp.example#ada' });
  });

  it('serves within a bound although 15,000 leases are open and the downstream hangs', async () => {
    const world = createWorld();
    for (let index = 0; index < 15_000; index++) leave(world, 'active');
    world.issuer.revokeScripts.push(...Array.from({ length: 15_000 }, () => () => new Promise<void>(() => {})));
    const started = world.time.clock();
    const recovered = world.manager.recover();
    await world.time.advance(2_000);
    expect(await recovered).toEqual({ found: 15_000, outstanding: 15_000 });
    expect(world.time.clock() - started).toBe(2_000);
    expect(world.issuer.revokes).toHaveLength(2);
    await expect(world.manager.acquire(world.task(), SHOP)).resolves.toMatchObject({ isLive: true });
    world.manager.close();
  });

  it('sweeps thousands of open leases to the last', async () => {
    const world = createWorld();
    for (let index = 0; index < 3_000; index++) leave(world, 'active');
    expect(await world.manager.recover()).toEqual({ found: 3_000, outstanding: 0 });
    expect(world.issuer.live.size).toBe(0);
  });

  it('does not touch what this process has issued already', async () => {
    const world = createWorld();
    const held = await world.manager.acquire(world.task(), SHOP);
    leave(world, 'active');
    expect(await world.manager.recover()).toEqual({ found: 1, outstanding: 0 });
    expect(held?.isLive).toBe(true);
    expect(world.issuer.live.size).toBe(1);
  });

  it('ends lapsing leases that are over, and waits for the others', async () => {
    const world = createWorld(createFakeIssuer({ revocation: 'expiry_only' }));
    const now = world.time.clock();
    const over = leave(world, 'lapsing', { nativeExpiresAt: now - 5 });
    const still = leave(world, 'lapsing', { nativeExpiresAt: now + 60_000 });
    expect(await world.manager.recover()).toEqual({ found: 0, outstanding: 0 });
    await world.time.advance(1);
    expect(row(world, over)).toMatchObject({ state: 'ended', endedAt: now - 5 });
    expect(row(world, still)).toMatchObject({ state: 'lapsing' });
    await world.time.advance(60_000);
    expect(row(world, still)).toMatchObject({ state: 'ended', endedAt: now + 60_000 });
  });

  it('keeps a lease whose connector is no longer configured, says how to mend it, and tries on', async () => {
    const world = createWorld();
    const lease = leave(world, 'active', { connector: PLAIN });
    const other = leave(world, 'active', { issuer: 'postgres' });
    expect(await world.manager.recover()).toEqual({ found: 2, outstanding: 2 });
    for (const one of [lease, other]) {
      expect(row(world, one)).toMatchObject({ state: 'revoking', lastError: expect.stringContaining('any more') });
    }
    expect(world.issuer.revokes).toEqual([]);
    // One timer, however many wait.
    expect(world.time.pending).toBe(1);
    await world.time.advance(120_000);
    expect(row(world, lease)?.attempts).toBeGreaterThan(3);
  });

  it('passes on that the rows cannot be read: the gateway must not serve then', async () => {
    const world = createWorld();
    const down = new RemitError('ERR_STORE_UNREACHABLE', 'down');
    world.repository.claims.releaseOthers = () => Promise.reject(down);
    await expect(world.manager.recover()).rejects.toBe(down);
  });
});

describe('reap', () => {
  it('L3 revokes what is past its lease, beside a gateway that runs, and nothing else', async () => {
    const world = createWorld();
    const now = world.time.clock();
    const expired = leave(world, 'active', { expiresAt: now - 5_000, issueDeadline: now - 290_000 });
    const running = leave(world, 'active', { expiresAt: now - 4_999 });
    const abandoned = leave(world, 'intended', { issueDeadline: now - 5_000 });
    const issuing = leave(world, 'intended');
    const report = await reapLeases(world.context, 'expired');
    expect(report.ended.map((lease) => lease.id).sort()).toEqual([expired.id, abandoned.id].sort());
    expect([report.lapsing, report.outstanding]).toEqual([[], []]);
    expect([...world.issuer.live.keys()].sort()).toEqual([running.tag, issuing.tag].sort());
    expect(row(world, expired)).toMatchObject({ state: 'ended', endReason: 'reaped' });
    expect(row(world, running)).toEqual(running);
    expect(row(world, issuing)).toEqual(issuing);
    expect(world.outcomes()).toEqual(['revoked', 'revoked']);
  });

  it('takes all where no gateway runs, and says what is not settled yet', async () => {
    const world = createWorld();
    const [active, intended, failing] = [
      leave(world, 'active'),
      leave(world, 'intended'),
      leave(world, 'active', { connector: PLAIN }),
    ];
    const report = await reapLeases(world.context, 'all');
    expect(report.ended).toMatchObject([{ id: active.id }]);
    expect(report.outstanding.map((lease) => lease.id).sort()).toEqual([intended.id, failing.id].sort());
    expect(world.issuer.live.has(active.tag)).toBe(false);
    await world.time.advance(15_000);
    expect((await reapLeases(world.context, 'all')).ended).toMatchObject([{ id: intended.id }]);
  });

  it('tries a failing one once, keeps the failure in the row, and closes what has lapsed', async () => {
    const world = createWorld();
    const now = world.time.clock();
    const lease = leave(world, 'revoking', { endReason: 'expired', attempts: 6 });
    const over = leave(world, 'lapsing', { nativeExpiresAt: now - 1, revocation: 'expiry_only' });
    const still = leave(world, 'lapsing', { nativeExpiresAt: now + 1, revocation: 'expiry_only' });
    world.issuer.revokeScripts.push(() => Promise.reject(revokeFault()));
    const report = await reapLeases(world.context, 'expired');
    expect(report).toMatchObject({
      ended: [{ id: over.id }],
      lapsing: [{ id: still.id }],
      outstanding: [{ id: lease.id, lastError: 'ERR_CREDENTIAL_REVOKE: the downstream is away' }],
    });
    expect(row(world, lease)).toMatchObject({ state: 'revoking', attempts: 7, endReason: 'expired' });
    expect(world.issuer.revokes).toHaveLength(1);
    expect(world.time.pending).toBe(0);
  });
});
