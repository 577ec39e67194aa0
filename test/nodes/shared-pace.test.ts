import { describe, expect, it } from 'vitest';
import { tenantId } from '../../src/domain/ids.ts';
import { PACE_WINDOW_MS } from '../../src/domain/node.ts';
import { HOLD_MS, NOTHING_MS } from '../../src/nodes/bounds.ts';
import { createSharedPace } from '../../src/nodes/shared-pace.ts';
import type { PaceDraw } from '../../src/seams/shared-store.ts';
import { createFakeTime } from '../support/fake-lease-time.ts';

/** A node's part of a pace, by a clock that the test moves; over real stores in `test/store/shared-paces.test.ts`. */
function world(perMinute: number) {
  const time = createFakeTime();
  const state = {
    fault: undefined as Error | undefined,
    isAnswerLost: false,
    draws: [] as PaceDraw[],
    going: () => {},
  };
  let rows: { holder: string; until: number; calls: number }[] = [];
  const repository = {
    async draw(_tenant: unknown, _pace: string, draw: PaceDraw) {
      if (state.fault !== undefined) throw state.fault;
      state.draws.push(draw);
      state.going();
      const now = time.clock();
      rows = rows.filter(({ holder, until }) => holder !== draw.holder && until > now);
      if (draw.used > 0) rows.push({ holder: '', until: now + PACE_WINDOW_MS, calls: draw.used });
      const sum = (which: (holder: string) => boolean): number =>
        rows.filter(({ holder }) => which(holder)).reduce((total, { calls }) => total + calls, 0);
      const more = Math.max(0, Math.min(draw.want - draw.keep, draw.most - sum(() => true) - draw.keep));
      const until = now + draw.holdMs + PACE_WINDOW_MS;
      rows.push({ holder: draw.holder, until, calls: draw.keep + more });
      if (state.isAnswerLost) throw new Error('the answer was lost');
      return { more, made: sum((holder) => holder === '') };
    },
  };
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const join = (holder: string, schedule = time.schedule) =>
    createSharedPace({
      tenant: tenantId('acme'),
      name: 'connector crm',
      perMinute,
      holder,
      repository,
      monotonic: time.clock,
      schedule,
      log,
    });
  /** Calls once, as a call does. */
  async function call(pace: ReturnType<typeof join>): Promise<boolean> {
    let more = pace.replenish();
    while (more !== undefined) {
      await more;
      more = pace.replenish();
    }
    const hasRoom = pace.hasRoom();
    if (hasRoom) pace.take();
    return hasRoom;
  }
  async function calls(pace: ReturnType<typeof join>, count: number): Promise<number> {
    let made = 0;
    for (let n = 0; n < count; n += 1) if (await call(pace)) made += 1;
    return made;
  }
  return { time, state, join, call, calls };
}

describe('a pace that nodes share', () => {
  it('is all there for one node alone, and not a call more', async () => {
    const { join, calls, time } = world(60);
    const pace = join('a');
    expect(await calls(pace, 100)).toBe(60);
    expect(pace.count()).toBe(60);
    await time.advance(PACE_WINDOW_MS - 2);
    expect(await calls(pace, 10)).toBe(0);
    await time.advance(HOLD_MS + NOTHING_MS);
    expect(await calls(pace, 100)).toBe(60);
  });

  it('is one for several, whoever calls', async () => {
    const { join, calls, time } = world(30);
    const nodes = ['a', 'b', 'c'].map((holder) => join(holder));
    const made = await Promise.all(nodes.map((node) => calls(node, 50)));
    await time.advance(HOLD_MS);
    const later = await Promise.all(nodes.map((node) => calls(node, 50)));
    const sum = [...made, ...later].reduce((total, one) => total + one, 0);
    expect(sum, 'what some still held when others were denied is had a moment later').toBe(30);
  });

  it('asks the store for a call only when nothing is held: more is there in time', async () => {
    const { join, call, time, state } = world(600);
    const pace = join('a');
    await call(pace);
    let waited = 0;
    for (let n = 0; n < 60; n += 1) {
      if (!pace.hasRoom()) waited += 1;
      expect(await call(pace)).toBe(true);
      await time.settle();
    }
    expect(waited).toBe(0);
    expect(state.draws.length).toBeLessThan(12);
  });

  it('is given back by who does not call, within the time that it is held', async () => {
    const { join, call, calls, time } = world(100);
    const [quiet, busy] = [join('a'), join('b')];
    await call(quiet);
    const first = await calls(busy, 120);
    expect(first, 'what the quiet one holds is not to be had').toBeLessThan(99);
    await time.advance(HOLD_MS);
    expect(first + (await calls(busy, 120))).toBe(99);
    await time.advance(HOLD_MS);
    expect(time.pending, 'who is quiet asks nothing').toBe(0);
  });

  it('what a node held that is lost counts until it could have been called last a minute ago', async () => {
    const { join, call, calls, time } = world(100);
    const lost = join('a', () => () => {});
    expect(await call(lost)).toBe(true);
    await time.advance(HOLD_MS + PACE_WINDOW_MS - 1_000);
    const other = join('b');
    const made = await calls(other, 120);
    expect(made).toBe(100 - Math.ceil(100 / 20));
    await time.advance(2_000);
    expect(made + (await calls(other, 120)), 'only what was held is to be had now').toBe(100);
  });

  it('D1 denies where the store does not answer, says so, and recovers by itself', async () => {
    const { join, call, time, state } = world(20);
    const pace = join('a');
    state.fault = new Error('gone');
    expect(await call(pace)).toBe(false);
    expect(pace.isUnknown).toBe(true);
    expect(pace.replenish(), 'it is not asked with every call').toBeUndefined();
    state.fault = undefined;
    await time.advance(NOTHING_MS);
    expect(await call(pace)).toBe(true);
    expect(pace.isUnknown).toBe(false);
  });

  it('D1 what is held is good for its time alone, and none is added while the store is gone', async () => {
    const { join, call, calls, time, state } = world(400);
    const pace = join('a');
    await call(pace);
    state.fault = new Error('gone');
    expect(await calls(pace, 100)).toBeLessThanOrEqual(20);
    const other = join('b');
    state.fault = undefined;
    await call(other);
    state.fault = new Error('gone');
    await time.advance(HOLD_MS);
    expect(other.hasRoom()).toBe(false);
    expect(await call(other)).toBe(false);
  });

  it('an answer that is lost lets nothing more through', async () => {
    const { join, calls, time, state } = world(20);
    const pace = join('a');
    let made = await calls(pace, 5);
    state.isAnswerLost = true;
    made += await calls(pace, 5);
    await time.advance(NOTHING_MS);
    made += await calls(pace, 5);
    state.isAnswerLost = false;
    await time.advance(NOTHING_MS);
    made += await calls(pace, 50);
    made += await calls(join('b'), 50);
    expect(made).toBeLessThanOrEqual(20);
    expect(made).toBeGreaterThan(4);
  });

  it('calls that are made while the store is asked are told of with the next: none is made that nobody counts', async () => {
    const { join, call, state, time } = world(200);
    const pace = join('a');
    await call(pace);
    let made = 1;
    state.going = () => {
      if (!pace.hasRoom()) return;
      pace.take();
      made += 1;
    };
    for (let n = 0; n < 20; n += 1) {
      if (await call(pace)) made += 1;
      await time.settle();
    }
    state.going = () => {};
    await time.advance(HOLD_MS);
    expect(state.draws.reduce((sum, { used }) => sum + used, 0)).toBe(made);
  });

  it('D1 is held from before the store was asked, by a process that stands still too, and nothing of it is kept after that', async () => {
    const { join, call, state, time } = world(100);
    // Its timers do not run.
    const pace = join('a', () => () => {});
    state.going = () => time.pass(HOLD_MS - 1);
    await call(pace);
    state.going = () => {};
    expect(pace.hasRoom()).toBe(true);
    time.pass(1);
    expect(pace.hasRoom()).toBe(false);
    expect(await call(pace)).toBe(true);
    expect(state.draws.map(({ keep }) => keep)).toEqual([0, 0]);
  });

  it('is given back at the stop', async () => {
    const { join, call, calls } = world(20);
    const pace = join('a');
    await call(pace);
    await pace.close();
    expect(pace.hasRoom()).toBe(false);
    expect(await calls(join('b'), 40)).toBe(19);
  });
});
