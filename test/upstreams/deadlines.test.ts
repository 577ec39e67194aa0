import { expect, it } from 'vitest';
import { Deadlines, type Timed } from '../../src/adapters/upstreams/deadlines.ts';

/** Time that moves when it is told to. */
function fakeTime() {
  let now = 0;
  let timers: { at: number; task: () => void }[] = [];
  return {
    get running() {
      return timers.length;
    },
    schedule: (ms: number, task: () => void) => {
      const timer = { at: now + ms, task };
      timers.push(timer);
      return () => {
        timers = timers.filter((other) => other !== timer);
      };
    },
    pass(ms: number): void {
      const end = now + ms;
      for (;;) {
        const next = timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        timers = timers.filter((timer) => timer !== next);
        now = next.at;
        next.task();
      }
      now = end;
    },
  };
}

function entry(onDeadline: () => void = () => {}): Timed & { fired: number } {
  const one = {
    deadlineIndex: -1,
    deadlineTicks: 0,
    fired: 0,
    onDeadline() {
      one.fired += 1;
      onDeadline();
    },
  };
  return one;
}

it('fault 27: is never early, and at most half a second late', () => {
  for (const ms of [1, 249, 250, 251, 1_000, 30_000]) {
    for (const offset of [0, 1, 125, 249]) {
      const time = fakeTime();
      const deadlines = new Deadlines(time.schedule);
      deadlines.start(entry(), 60_000);
      time.pass(offset);
      const one = entry();
      deadlines.start(one, ms);
      time.pass(ms - 1);
      expect(one.fired).toBe(0);
      time.pass(501);
      expect(one.fired).toBe(1);
    }
  }
});

it('takes one timer for all, and none while there is nothing to wait for', () => {
  const time = fakeTime();
  const deadlines = new Deadlines(time.schedule);
  const entries = Array.from({ length: 1_000 }, () => entry());
  for (const one of entries) deadlines.start(one, 5_000);
  expect(time.running).toBe(1);
  for (const one of entries.filter((_, index) => index % 3 !== 0)) deadlines.stop(one);
  time.pass(10_000);
  expect(entries.filter((one) => one.fired === 1)).toHaveLength(334);
  expect(entries.filter((one) => one.fired > 1)).toHaveLength(0);
  expect(time.running).toBe(0);
});

it('stops and goes on with what was left', () => {
  const time = fakeTime();
  const deadlines = new Deadlines(time.schedule);
  const one = entry();
  deadlines.start(one, 1_000);
  time.pass(900);
  deadlines.stop(one);
  time.pass(60_000);
  expect(one.fired).toBe(0);
  deadlines.resume(one);
  time.pass(1_000);
  expect(one.fired).toBe(1);
});

it('lives with entries that end others, or start again, when they are due', () => {
  const time = fakeTime();
  const deadlines = new Deadlines(time.schedule);
  const others = Array.from({ length: 5 }, () => entry());
  const again = entry(() => deadlines.start(again, 1_000));
  const ender = entry(() => {
    for (const other of others) deadlines.stop(other);
  });
  for (const other of others) deadlines.start(other, 1_000);
  deadlines.start(again, 1_000);
  deadlines.start(ender, 1_000);
  time.pass(4_000);
  expect(others.map((other) => other.fired)).toEqual([0, 0, 0, 0, 0]);
  expect([ender.fired, again.fired]).toEqual([1, 3]);
});
