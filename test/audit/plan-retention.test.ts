import { describe, expect, it } from 'vitest';
import { planRetention } from '../../src/audit/plan-retention.ts';

const DAY = 86_400_000;
const segment = (first: number, begunDay: number, bytes = 100) => ({
  first,
  end: first + 10,
  begunAt: begunDay * DAY,
  bytes,
});
/** Ten records a day, a segment each; the last one is being written to. */
const SEGMENTS = [0, 1, 2, 3, 4].map((day) => segment(day * 10, day));
const ALL = Number.MAX_SAFE_INTEGER;

describe('what of the trail is let go', () => {
  it('nothing unless it is configured', () => {
    expect(planRetention({ segments: SEGMENTS, keep: {}, needed: ALL, now: 1e9 * DAY })).toEqual({
      before: 0,
      isHeld: false,
    });
  });

  it.each([
    // A segment is as old as its youngest record may be: the beginning of the next.
    [{ days: 3 }, 3.9, 0],
    [{ days: 3 }, 4, 10],
    [{ days: 1 }, 4, 30],
    // Never the last one.
    [{ days: 1 }, 400, 40],
    [{ bytes: 500 }, 4, 0],
    [{ bytes: 499 }, 4, 10],
    [{ bytes: 250 }, 4, 30],
    [{ bytes: 0 }, 4, 40],
    // Either is enough.
    [{ days: 2, bytes: 499 }, 4, 20],
    [{ days: 4, bytes: 300 }, 4, 20],
  ])('%j on day %d: everything before %d', (keep, day, before) => {
    expect(planRetention({ segments: SEGMENTS, keep, needed: ALL, now: day * DAY })).toEqual({ before, isHeld: false });
  });

  it('A4 nothing that a live task, a live credential or a start needs', () => {
    for (const [needed, before] of [
      [0, 0],
      [9, 0],
      [10, 10],
      [25, 20],
    ] as const) {
      expect(planRetention({ segments: SEGMENTS, keep: { bytes: 0 }, needed, now: 0 })).toEqual({
        before,
        isHeld: true,
      });
    }
  });

  it('A4 a clock that was set back makes nothing older than it is', () => {
    const segments = [segment(0, 100), segment(10, 2), segment(20, 3)];
    expect(planRetention({ segments, keep: { days: 10 }, needed: ALL, now: 105 * DAY }).before).toBe(0);
    expect(planRetention({ segments, keep: { days: 10 }, needed: ALL, now: 110 * DAY }).before).toBe(20);
  });
});
