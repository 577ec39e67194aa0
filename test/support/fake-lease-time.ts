import type { Clock, Schedule } from '../../src/seams/clock.ts';

/** FAKE: a clock that a test moves, with the timers that hang on it. */
export interface FakeTime {
  readonly clock: Clock;
  readonly schedule: Schedule;
  /** Lets everything that waits for no timer happen. */
  settle(): Promise<void>;
  /** Moves the clock, running timers in order at their times. */
  advance(ms: number): Promise<void>;
  /** Time that goes by while nothing can run. */
  pass(ms: number): void;
  /** Timers that have not fired. */
  readonly pending: number;
}

export function createFakeTime(start = 1_700_000_000_000): FakeTime {
  let now = start;
  let order = 0;
  const timers = new Map<number, { at: number; task: () => void }>();
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  return {
    clock: () => now,
    schedule(ms, task) {
      const id = order++;
      timers.set(id, { at: now + Math.max(0, ms), task });
      return () => void timers.delete(id);
    },
    settle,
    pass(ms) {
      now += ms;
    },
    async advance(ms) {
      const end = now + ms;
      await settle();
      for (;;) {
        const due = [...timers]
          .filter(([, timer]) => timer.at <= end)
          .sort(([a, x], [b, y]) => x.at - y.at || a - b)[0];
        if (due === undefined) break;
        const [id, timer] = due;
        timers.delete(id);
        now = Math.max(now, timer.at);
        timer.task();
        await settle();
      }
      now = Math.max(now, end);
    },
    get pending() {
      return timers.size;
    },
  };
}
