import { describe, expect, it } from 'vitest';
import { tenantId } from '../../src/domain/ids.ts';
import { BEAT_MS, MEMBER_MS, TTL_MS } from '../../src/nodes/bounds.ts';
import { clockFault } from '../../src/nodes/clock-difference.ts';
import { createMembership } from '../../src/nodes/membership.ts';
import { createFakeTime } from '../support/fake-lease-time.ts';

/** `renewed`: with the time by the store's clock. */
type Told = 'renewed' | 'buried' | 'replaced' | Error | Promise<'renewed'>;

function world() {
  const time = createFakeTime();
  const log: string[] = [];
  const state = {
    told: 'renewed' as Told,
    lives: 0,
    joinFault: undefined as Error | undefined,
    rejoins: 0,
    rejoinFault: undefined as Error | undefined,
    /** Resolves when all has been let go of. */
    losing: Promise.resolve(),
    /** By how much the wall clock here is ahead of the store's. */
    aheadMs: 0,
    /** What befalls while a question is on its way to the store, and while its answer is on its way back. */
    going: () => {},
    coming: () => {},
  };
  function ask(): number {
    state.going();
    const now = time.clock();
    state.coming();
    return now;
  }
  const membership = createMembership({
    repository: {
      async join() {
        if (state.joinFault !== undefined) throw state.joinFault;
        state.going();
        state.lives += 1;
        log.push(`join ${state.lives}`);
        return state.lives;
      },
      async renew({ life }) {
        log.push(`renew ${life}`);
        if (state.told instanceof Error) throw state.told;
        const told = await state.told;
        return told === 'renewed' ? ask() : told;
      },
      async leave({ life }) {
        log.push(`leave ${life}`);
      },
    },
    self: { tenant: tenantId('acme'), name: 'na', address: 'http://a', version: '1', connections: 11 },
    policyVersion: () => 'p',
    monotonic: time.clock,
    clock: () => time.clock() + state.aheadMs,
    server: {
      async now() {
        log.push('now');
        if (state.told instanceof Error) throw state.told;
        return ask();
      },
    },
    schedule: time.schedule,
    log: { debug() {}, info() {}, warn() {}, error() {} },
    async onRejoined() {
      state.rejoins += 1;
      if (state.rejoinFault !== undefined) throw state.rejoinFault;
    },
    async onLost() {
      log.push('lost');
      await state.losing;
    },
    onClock: (fault) => log.push(fault ?? 'agrees'),
    onReplaced: () => log.push('replaced'),
  });
  return { time, log, state, membership };
}

describe('membership', () => {
  it('ends for the node itself before it ends for the others', () => {
    expect(MEMBER_MS).toBeLessThan(TTL_MS);
  });

  it('lasts while the node can say that it is there, and not before it has joined', async () => {
    const { time, membership } = world();
    expect(membership.isMember()).toBe(false);
    await membership.join();
    await time.advance(60_000);
    expect(membership.isMember()).toBe(true);
  });

  it('D1 a store that fails, or hangs, ends it in time, and what was said late counts from before it was asked', async () => {
    const { time, state, membership, log } = world();
    await membership.join();
    state.told = new Error('no store');
    await time.advance(MEMBER_MS - 1);
    expect(membership.isMember()).toBe(true);
    await time.advance(1);
    expect(membership.isMember()).toBe(false);
    let answer: (told: 'renewed') => void = () => {};
    state.told = new Promise((resolve) => {
      answer = resolve;
    });
    await time.advance(500);
    const asked = log.length;
    await time.advance(MEMBER_MS + 1);
    expect(log, 'one question at a time').toHaveLength(asked);
    answer('renewed');
    await time.settle();
    expect(membership.isMember(), 'too old when it came').toBe(false);
    state.told = 'renewed';
    expect(await membership.confirm()).toBe(true);
  });

  it('one that was taken to be lost lets go of everything before it joins anew', async () => {
    const { time, state, membership, log } = world();
    await membership.join();
    state.told = 'buried';
    log.length = 0;
    await time.advance(500);
    expect(log).toEqual(['renew 1', 'lost', 'join 2', 'now']);
    expect(membership.isMember()).toBe(true);
  });

  it('D1 one that was taken to be lost acts as nobody’s owner from when it knows, while it lets go and joins anew', async () => {
    const { time, state, membership } = world();
    await membership.join();
    let gone = (): void => {};
    state.losing = new Promise((resolve) => {
      gone = resolve;
    });
    state.told = 'buried';
    await time.advance(BEAT_MS);
    expect(membership.isMember()).toBe(false);
    gone();
    await time.settle();
    expect(membership.isMember()).toBe(true);
  });

  it('D1 counts from before it has joined: what took too long is no membership', async () => {
    const { time, state, membership } = world();
    state.going = () => time.pass(MEMBER_MS);
    await membership.join();
    expect(membership.isMember()).toBe(false);
    state.going = () => {};
    await time.advance(BEAT_MS);
    expect(membership.isMember()).toBe(true);
  });

  it('says anew what has changed of it, also where it is just saying what was', async () => {
    const { time, state, membership, log } = world();
    await membership.join();
    let answer: (told: 'renewed') => void = () => {};
    state.told = new Promise((resolve) => {
      answer = resolve;
    });
    await time.advance(BEAT_MS);
    const announcing = membership.announce();
    answer('renewed');
    await announcing;
    expect(log.filter((line) => line === 'renew 1')).toHaveLength(2);
    await membership.close();
    await membership.announce();
    expect(log.at(-1)).toBe('leave 1');
  });

  it('one that has joined anew goes on with what is still its own, and tries until it could', async () => {
    const { time, state, membership } = world();
    await membership.join();
    expect(state.rejoins).toBe(0);
    state.told = 'buried';
    state.rejoinFault = new Error('no vault');
    await time.advance(500);
    state.told = 'renewed';
    await time.advance(500);
    expect(state.rejoins).toBe(2);
    expect(membership.isMember()).toBe(true);
    state.rejoinFault = undefined;
    await time.advance(5_000);
    expect(state.rejoins).toBe(3);
  });

  it('one that cannot join anew serves nothing, and tries on', async () => {
    const { time, state, membership, log } = world();
    await membership.join();
    state.told = 'buried';
    state.joinFault = new Error('no store');
    await time.advance(500);
    expect(membership.isMember()).toBe(false);
    state.joinFault = undefined;
    await time.advance(500);
    expect(membership.isMember()).toBe(true);
    expect(log.filter((line) => line === 'lost')).toHaveLength(2);
  });

  it('another process with its name ends it for good', async () => {
    const { time, state, membership, log } = world();
    await membership.join();
    state.told = 'replaced';
    await time.advance(500);
    expect(log.at(-1)).toBe('replaced');
    expect(membership.isMember()).toBe(false);
    const { length } = log;
    await time.advance(5_000);
    expect(await membership.confirm()).toBe(false);
    expect(log).toHaveLength(length);
  });

  it('leaves once, and is no member then', async () => {
    const { membership, log, time } = world();
    await membership.join();
    await membership.close();
    await membership.close();
    expect(membership.isMember()).toBe(false);
    expect(log.filter((line) => line.startsWith('leave'))).toEqual(['leave 1']);
    await time.advance(5_000);
    expect(log.at(-1)).toBe('leave 1');
  });
});

it('one that leaves joins no more, whatever it is told meanwhile', async () => {
  const { time, state, membership, log } = world();
  await membership.join();
  let answer = (): void => {};
  state.told = new Promise((resolve) => {
    answer = () => resolve('buried' as never);
  });
  await time.advance(BEAT_MS);
  const closing = membership.close();
  answer();
  await closing;
  expect(log.slice(-2)).toEqual(['renew 1', 'leave 1']);
});

describe('a clock that is set while the node runs', () => {
  it('D1 a difference that is no number is none that agrees', () => {
    expect(clockFault(Number.NaN)).toBeDefined();
  });

  it.each([2_501, 3_600_000, -2_501, -3_600_000])(
    'D1 ends it with the next beat at %d ms from the store’s, says why, and it comes again by itself',
    async (aheadMs) => {
      const { time, state, membership, log } = world();
      await membership.join();
      state.aheadMs = aheadMs;
      log.length = 0;
      await time.advance(BEAT_MS);
      expect(membership.isMember()).toBe(false);
      const seconds = Math.round(Math.abs(aheadMs) / 1_000);
      const fault = `this host’s clock is ${seconds} seconds ${aheadMs > 0 ? 'ahead of' : 'behind'} the database’s`;
      expect(membership.clockFault()).toBe(fault);
      expect(await membership.confirm()).toBe(false);
      await time.advance(BEAT_MS);
      expect(log, 'told once').toEqual(['renew 1', fault, 'now', 'now']);
      state.aheadMs = 0;
      await time.advance(BEAT_MS);
      expect(membership.isMember()).toBe(true);
      expect(membership.clockFault()).toBeUndefined();
      expect(log.slice(4)).toEqual(['now', 'agrees', 'renew 1']);
      expect(state.rejoins, 'nobody had its tasks').toBe(0);
    },
  );

  it.each([2_500, -2_500])('ends nothing at %d ms', async (aheadMs) => {
    const { time, state, membership } = world();
    await membership.join();
    state.aheadMs = aheadMs;
    await time.advance(60_000);
    expect(membership.isMember()).toBe(true);
  });

  it('a slow way to the store or back, and a process that stood still, end nothing', async () => {
    const { time, state, membership, log } = world();
    await membership.join();
    let late = 0;
    // The wall clock and the store's go on together while the question, or its answer, is on its way.
    const way = (): void => {
      late += 1;
      time.pass(6_000);
    };
    state.going = way;
    await time.advance(BEAT_MS);
    state.going = () => {};
    state.coming = way;
    await time.advance(BEAT_MS);
    state.coming = () => {};
    expect(late).toBeGreaterThanOrEqual(2);
    expect(membership.clockFault()).toBeUndefined();
    await time.advance(BEAT_MS);
    expect(membership.isMember()).toBe(true);
    expect(log.filter((line) => line.includes('clock'))).toEqual([]);
  });

  it('D1 one that stays wrong lets go of its tasks when its time is over, once, and goes on with what is its own', async () => {
    const { time, state, membership, log } = world();
    await membership.join();
    state.aheadMs = 60_000;
    await time.advance(TTL_MS);
    expect(log).not.toContain('lost');
    await time.advance(BEAT_MS);
    expect(log.filter((line) => line === 'lost')).toHaveLength(1);
    await time.advance(60_000);
    expect(log.filter((line) => line === 'lost')).toHaveLength(1);
    expect(
      log.filter((line) => line.startsWith('renew')),
      'it says no more that it is there',
    ).toHaveLength(1);
    state.aheadMs = 0;
    await time.advance(BEAT_MS);
    expect(membership.isMember()).toBe(true);
    expect(state.rejoins).toBe(1);
  });

  it('D1 one that joins by a wrong clock is no member, and lets go of its tasks when its time is over', async () => {
    const { time, state, membership, log } = world();
    state.aheadMs = 60_000;
    await membership.join();
    expect(membership.isMember()).toBe(false);
    await time.advance(TTL_MS - BEAT_MS);
    expect(log).not.toContain('lost');
    await time.advance(2 * BEAT_MS);
    expect(log).toContain('lost');
  });

  it('one that was buried meanwhile joins anew when the clocks agree, and not before', async () => {
    const { time, state, membership, log } = world();
    await membership.join();
    state.aheadMs = -60_000;
    await time.advance(BEAT_MS);
    state.told = 'buried';
    await time.advance(60_000);
    expect(log).not.toContain('join 2');
    state.aheadMs = 0;
    await time.advance(BEAT_MS);
    expect(log).toContain('join 2');
    expect(membership.isMember()).toBe(true);
    expect(state.rejoins).toBe(1);
  });

  it('D1 one that joins anew by a wrong clock is no member yet, and goes on with nothing', async () => {
    const { time, state, membership, log } = world();
    await membership.join();
    state.told = 'buried';
    state.aheadMs = 60_000;
    await time.advance(BEAT_MS);
    expect(log).toContain('join 2');
    expect(membership.isMember()).toBe(false);
    expect(state.rejoins).toBe(0);
    state.told = 'renewed';
    state.aheadMs = 0;
    await time.advance(BEAT_MS);
    expect(membership.isMember()).toBe(true);
    expect(state.rejoins).toBe(1);
  });

  it('D1 a store that is away while the clock is wrong makes nobody a member', async () => {
    const { time, state, membership } = world();
    await membership.join();
    state.aheadMs = 60_000;
    await time.advance(BEAT_MS);
    state.aheadMs = 0;
    state.told = new Error('no store');
    await time.advance(60_000);
    expect(membership.isMember()).toBe(false);
    state.told = 'renewed';
    await time.advance(BEAT_MS);
    expect(membership.isMember()).toBe(true);
  });
});
