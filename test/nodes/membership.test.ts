import { describe, expect, it } from 'vitest';
import { tenantId } from '../../src/domain/ids.ts';
import { MEMBER_MS, TTL_MS } from '../../src/nodes/bounds.ts';
import { createMembership } from '../../src/nodes/membership.ts';
import { createFakeTime } from '../support/fake-lease-time.ts';

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
  };
  const membership = createMembership({
    repository: {
      async join() {
        if (state.joinFault !== undefined) throw state.joinFault;
        state.lives += 1;
        log.push(`join ${state.lives}`);
        return state.lives;
      },
      async renew({ life }) {
        log.push(`renew ${life}`);
        if (state.told instanceof Error) throw state.told;
        return await state.told;
      },
      async leave({ life }) {
        log.push(`leave ${life}`);
      },
    },
    self: { tenant: tenantId('acme'), name: 'na', address: 'http://a', version: '1', connections: 11 },
    policyVersion: () => 'p',
    monotonic: time.clock,
    schedule: time.schedule,
    log: { debug() {}, info() {}, warn() {}, error() {} },
    async onRejoined() {
      state.rejoins += 1;
      if (state.rejoinFault !== undefined) throw state.rejoinFault;
    },
    async onLost() {
      log.push('lost');
    },
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
    expect(log).toEqual(['renew 1', 'lost', 'join 2']);
    expect(membership.isMember()).toBe(true);
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
