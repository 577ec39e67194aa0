import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Pace } from '../../src/policy/pace.ts';

function take(pace: Pace, now: number): boolean {
  if (!pace.hasRoom(now)) return false;
  pace.take();
  return true;
}

describe('pace', () => {
  it('lets through as many a minute as it says, and again when a minute has passed', () => {
    const pace = new Pace(3);
    const start = 1_800_000_000_000;
    expect([0, 1, 2, 3, 59_999].map((ms) => take(pace, start + ms))).toEqual([true, true, true, false, false]);
    expect(take(pace, start + 61_000)).toBe(true);
    expect(pace.count(start + 61_000)).toBe(1);
  });

  it('frees nothing when the clock goes back, and allows nothing at a time that is none', () => {
    const pace = new Pace(2);
    expect(take(pace, 120_000)).toBe(true);
    expect(take(pace, 10_000)).toBe(true);
    expect(take(pace, 10_000)).toBe(false);
    expect(take(pace, Number.NaN)).toBe(false);
    expect(take(pace, Number.POSITIVE_INFINITY)).toBe(false);
  });

  it('never lets more than its bound through in any 60 seconds, whatever the calls', () => {
    const steps = fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 200 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), steps, (bound, waits) => {
        const pace = new Pace(bound);
        const taken: number[] = [];
        let now = 1_000_000;
        for (const wait of waits) {
          now += wait;
          if (take(pace, now)) taken.push(now);
          else expect(taken.filter((time) => time > now - 62_000).length).toBeGreaterThanOrEqual(bound);
        }
        for (const end of taken)
          expect(taken.filter((t) => t > end - 60_000 && t <= end).length).toBeLessThanOrEqual(bound);
      }),
    );
  });
});
