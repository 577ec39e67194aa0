import { describe, expect, it } from 'vitest';
import { RemitError } from '../../src/domain/errors.ts';
import type { HeldLease } from '../../src/leases/held-lease.ts';
import { reapLeases } from '../../src/leases/reap.ts';
import { createFakeIssuer, type FakeIssuerOptions, revokeFault } from '../support/fake-issuer.ts';
import { createWorld, SHOP, type World } from './lease-world.ts';

const NO_TEMPLATES = { environment: {}, headers: {} };
const GONE = { issuerOf: () => undefined, issuerAt: () => undefined };
const HOUR = 3_600_000;

/** A lease that its process left open when it was killed, and the next process, which has no issuer for it. */
async function leave(options: FakeIssuerOptions) {
  const world = createWorld(createFakeIssuer(options));
  const mine = world.task();
  const { lease } = (await world.manager.acquire(mine, SHOP)) as HeldLease;
  world.manager.close();
  const row = () => world.repository.rows.get(lease.id);
  return { world, lease, row, next: world.restart(GONE) };
}

/** Lets time go in steps in which timers that were set meanwhile run. */
async function pass(world: World, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 60_000) await world.time.advance(Math.min(left, 60_000));
}

const reap = ({ context }: World, claimant: string, which: 'all' | 'expired') =>
  reapLeases({ ...context, claimant }, which);

async function recover(world: World, next: World['manager']): Promise<void> {
  const recovering = next.recover();
  await world.time.advance(1_000);
  await recovering;
}

describe('a lease whose issuer is gone', () => {
  it('L7 lapses where a revoke would have done nothing, and is over in its time', async () => {
    const { world, lease, row, next } = await leave({ revocation: 'expiry_only' });
    await recover(world, next);
    expect(row()).toMatchObject({ state: 'lapsing', nativeExpiresAt: lease.nativeExpiresAt });
    expect(world.outcomes()).toEqual(['lapsing']);
    await pass(world, 301_000);
    expect(row()).toMatchObject({ state: 'ended' });
    expect(world.outcomes()).toEqual(['lapsing', 'expired']);
  });

  it('L7 lapses without an end where the downstream knows none', async () => {
    const { world, row, next } = await leave({ revocation: 'expiry_only', nativeExpiresAt: () => undefined });
    await recover(world, next);
    expect(row()).toMatchObject({ state: 'lapsing' });
    await pass(world, 2 * HOUR);
    expect(row()).toMatchObject({ state: 'lapsing' });
  });

  it('L7 is tried on while it is good, then over by itself, and never said to be revoked', async () => {
    const { world, row, next } = await leave({ revocation: 'next_use', hasHandles: true });
    await recover(world, next);
    await pass(world, 280_000);
    expect(row()).toMatchObject({ state: 'revoking', lastError: expect.stringContaining('no fake issuer any more') });
    await pass(world, 120_000);
    expect(row()).toMatchObject({ state: 'ended', revocation: 'expiry_only', lastError: undefined });
    expect(world.outcomes()).toEqual(['failed', 'expired']);
  });

  it('L7 is tried for ever where a session of it may be open', async () => {
    const { world, row, next } = await leave({ revocation: 'immediate' });
    await recover(world, next);
    await pass(world, 2 * HOUR);
    expect(row()).toMatchObject({ state: 'revoking', failingSince: expect.any(Number) });
    expect(world.outcomes()).toEqual(['failed']);
    next.close();
    const back = world.restart();
    await recover(world, back);
    expect(row()).toMatchObject({ state: 'ended' });
    expect(world.outcomes()).toEqual(['failed', 'revoked']);
  });
});

describe('a lease that its issuer cannot revoke', () => {
  it.each([
    ['where nobody can read what that needs any more', 'next_use', 'ERR_VAULT_KEY_WRONG', true],
    ['where its server does not answer, and a revoke was worth no more', 'expiry_only', undefined, true],
    ['but not where its server may answer yet', 'next_use', undefined, false],
    ['nor where a session may be open', 'immediate', 'ERR_VAULT_KEY_WRONG', false],
  ] as const)('L7 is over when it has ended by itself, %s', async (_, revocation, code, isOver) => {
    const { world, row } = await leave({ revocation, hasHandles: true });
    const refused = async () => {
      throw new RemitError('ERR_VAULT_KEY_WRONG', 'it does not open');
    };
    for (let left = 100; left > 0; left--) world.issuer.revokeScripts.push(() => Promise.reject(revokeFault()));
    const next = world.restart(code === undefined ? {} : { handles: { ...world.options.handles, open: refused } });
    await recover(world, next);
    await pass(world, 280_000);
    expect(row()).toMatchObject({ state: 'revoking' });
    await pass(world, 120_000);
    expect(row()).toMatchObject({ state: isOver ? 'ended' : 'revoking' });
    expect(world.outcomes()).toEqual(isOver ? ['failed', 'expired'] : ['failed']);
  });
});

it('A3 one that is over by itself has not ended before that is on the trail', async () => {
  const { world, row } = await leave({ revocation: 'next_use' });
  let isTaken = false;
  const audit: typeof world.options.audit = async (event) => {
    if (!isTaken) throw new RemitError('ERR_JOURNAL_FULL', 'full');
    await world.options.audit(event);
  };
  const next = world.restart({ ...GONE, audit });
  await recover(world, next);
  await pass(world, 400_000);
  expect(row()).toMatchObject({ state: 'revoking' });
  expect(world.outcomes()).toEqual([]);
  isTaken = true;
  await pass(world, 120_000);
  expect(row()).toMatchObject({ state: 'ended' });
  expect(world.outcomes()).toEqual(['expired']);
});

it('L7 a static secret lapses under its own exception, not that of what its connector has by now', async () => {
  const issuer = createFakeIssuer({ revocation: 'expiry_only', nativeExpiresAt: () => undefined });
  const world = createWorld(issuer);
  const binding = { mode: 'task', ttlSeconds: 300, templates: NO_TEMPLATES } as const;
  const start = world.time.clock();
  const before = world.restart({ issuerOf: () => ({ ...binding, issuer, lapsesAt: start + 2 * HOUR }) });
  const mine = world.task();
  await before.acquire(mine, SHOP);
  await before.revokeTask(mine.id, 'completed');
  before.close();
  const other = { ...issuer, downstream: 'another secret' };
  const after = world.restart({ issuerOf: () => ({ ...binding, issuer: other, lapsesAt: start + 600_000 }) });
  await recover(world, after);
  await pass(world, 3 * HOUR);
  expect(world.rowsOf(mine.id)).toMatchObject([{ state: 'lapsing' }]);
});

it('L7 what a revoke was worth in the end is what the row says', async () => {
  const issuer = createFakeIssuer({ revocation: 'next_use' });
  const world = createWorld(issuer);
  const mine = world.task();
  await world.manager.acquire(mine, SHOP);
  Object.assign(issuer, { revocation: 'expiry_only' });
  await world.manager.revokeTask(mine.id, 'completed');
  expect(world.rowsOf(mine.id)).toMatchObject([{ state: 'lapsing', revocation: 'expiry_only' }]);
});

describe('a revoke that failed', () => {
  it('is tried at once when somebody asks for it, and what did not fail is let be', async () => {
    const { manager, issuer, task, rowsOf, time } = createWorld();
    const [mine, other] = [task(), task()];
    for (const one of [mine, other]) {
      await manager.acquire(one, SHOP);
      issuer.revokeScripts.push(() => Promise.reject(revokeFault()));
      await manager.revokeTask(one.id, 'completed');
    }
    expect(await manager.retry({ task: mine.id })).toMatchObject([{ state: 'ended' }]);
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'ended' }]);
    expect(rowsOf(other.id)).toMatchObject([{ state: 'revoking' }]);
    expect(await manager.retry({ task: mine.id })).toEqual([]);
    await time.advance(60_000);
    expect(rowsOf(other.id)).toMatchObject([{ state: 'ended' }]);
  });

  it('is tried at once by a process that has it from a row, and told of where it is another’s', async () => {
    const { world, lease, row } = await leave({ revocation: 'immediate' });
    for (let left = 20; left > 0; left--) world.issuer.revokeScripts.push(() => Promise.reject(revokeFault()));
    const next = world.restart();
    await recover(world, next);
    const asked = world.issuer.revokes.length;
    expect(await world.restart().retry({})).toMatchObject([{ id: lease.id, state: 'revoking' }]);
    expect(world.issuer.revokes).toHaveLength(asked);
    world.issuer.revokeScripts.length = 0;
    expect(await next.retry({})).toMatchObject([{ id: lease.id, state: 'ended' }]);
    expect(row()).toMatchObject({ state: 'ended' });
    expect(world.outcomes().at(-1)).toBe('revoked');
  });

  it('is settled by the first yes, as it was issued: also for who knows no more than the row', async () => {
    const { world, row } = await leave({ revocation: 'immediate' });
    world.issuer.revokeScripts.push(() => Promise.reject(revokeFault()));
    expect(await reap(world, 'reaper 1', 'all')).toMatchObject({ outstanding: [{ state: 'revoking' }] });
    expect(await reap(world, 'reaper 2', 'all')).toMatchObject({
      ended: [{ state: 'ended' }],
      outstanding: [],
    });
    expect(row()).toMatchObject({ state: 'ended' });
  });

  it('L7 is told by a reaper also while its next attempt is not due', async () => {
    const { world, lease } = await leave({ revocation: 'immediate' });
    for (let left = 2; left > 0; left--) world.issuer.revokeScripts.push(() => Promise.reject(revokeFault()));
    await reap(world, 'reaper 1', 'all');
    const again = await reap(world, 'reaper 2', 'expired');
    expect(again).toMatchObject({ ended: [], outstanding: [{ id: lease.id, lastError: expect.any(String) }] });
    await world.time.advance(60_000);
    expect((await reap(world, 'reaper 3', 'expired')).outstanding).toHaveLength(1);
    await world.time.advance(60_000);
    expect(await reap(world, 'reaper 3', 'expired')).toMatchObject({ ended: [{ id: lease.id }], outstanding: [] });
  });
});
