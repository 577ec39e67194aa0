import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { levelOf, scoreAt } from '../../src/domain/risk.ts';
import { Scores } from '../../src/risk/scores.ts';

const HALF = 60_000;
const BOUNDS = { elevated: 20, high: 50, critical: 100 };
const options = { halfLifeMs: HALF, bounds: BOUNDS };
const TASK = { kind: 'task', id: 'tsk_a' } as const;

describe('scores', () => {
  it('halve in a half-life, and are none below one point', () => {
    const scores = new Scores(options);
    scores.add(TASK, 64, 0);
    expect([0, 1, 2, 5, 6].map((lives) => scores.value(TASK, lives * HALF))).toEqual([64, 32, 16, 2, 1]);
    expect(scores.value(TASK, 7 * HALF)).toBe(0);
    expect(scores.level(TASK, 0)).toBe('high');
    expect(scores.level(TASK, HALF)).toBe('elevated');
    expect(scores.level(TASK, 2 * HALF)).toBe('low');
  });

  it('are the same however often they are read or swept (property)', () => {
    const signals = fc.array(fc.tuple(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 0, max: 5 * HALF })), {
      minLength: 1,
      maxLength: 20,
    });
    fc.assert(
      fc.property(signals, (given) => {
        const polled = new Scores(options);
        const left = new Scores(options);
        let now = 0;
        for (const [points, wait] of given) {
          polled.add(TASK, points, now);
          left.add(TASK, points, now);
          for (let step = 1; step <= 10; step += 1) {
            polled.sweep(now + (wait * step) / 10);
            polled.level(TASK, now + (wait * step) / 10);
          }
          now += wait;
          expect(polled.value(TASK, now)).toBe(left.value(TASK, now));
        }
      }),
    );
  });

  it('only fall with time, and only rise with a signal (property)', () => {
    const natural = fc.integer({ min: 0, max: 10 * HALF });
    fc.assert(
      fc.property(natural, natural, fc.integer({ min: 1, max: 90 }), (first, then, points) => {
        const scores = new Scores(options);
        scores.add(TASK, 70, 0);
        expect(scores.value(TASK, first + then)).toBeLessThanOrEqual(scores.value(TASK, first));
        const before = scores.value(TASK, first);
        scores.add(TASK, points, first);
        expect(scores.value(TASK, first)).toBeGreaterThanOrEqual(before);
      }),
    );
  });

  it('D1 a clock that goes back makes none smaller, and one that is no time none at all', () => {
    const scores = new Scores(options);
    scores.add(TASK, 64, 10 * HALF);
    expect(scores.value(TASK, 0)).toBe(64);
    scores.add(TASK, 10, 0);
    expect(scores.value(TASK, 10 * HALF)).toBe(74);
    expect(scores.value(TASK, Number.NaN)).toBe(74);
    scores.add(TASK, 10, Number.NaN);
    expect(scores.value(TASK, 1_000 * HALF)).toBe(84);
    expect(levelOf(Number.MAX_VALUE, BOUNDS)).toBe('critical');
    expect(scoreAt({ score: 8, at: Number.NaN }, 0, HALF)).toBe(8);
  });

  it('I3 are bounded in height and in number: the least goes', () => {
    const scores = new Scores(options);
    for (let at = 0; at < 1_000; at += 1) scores.add(TASK, 1_000, 0);
    expect(scores.value(TASK, 0)).toBe(400);
    for (let at = 0; at < 10_005; at += 1) scores.add({ kind: 'user', id: `u${at}` }, at === 7 ? 1 : 2, 0);
    expect(scores.list(0).filter(({ subject }) => subject.kind === 'user')).toHaveLength(10_000);
    expect(scores.value({ kind: 'user', id: 'u7' }, 0)).toBe(0);
    expect(scores.value({ kind: 'user', id: 'u10004' }, 0)).toBe(2);
    expect(scores.list(0)[0]?.subject).toEqual(TASK);
  });

  it('of subjects that share an id are kept apart, and forgotten one by one', () => {
    const scores = new Scores(options);
    scores.add({ kind: 'agent', id: 'x' }, 60, 0);
    expect(scores.level({ kind: 'connector', id: 'x' }, 0)).toBe('low');
    expect(scores.forget({ kind: 'connector', id: 'x' })).toBe(false);
    expect(scores.isEmpty).toBe(false);
    expect(scores.forget({ kind: 'agent', id: 'x' })).toBe(true);
    expect(scores.isEmpty).toBe(true);
  });
});
