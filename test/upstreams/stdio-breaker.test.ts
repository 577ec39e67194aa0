import { describe, expect, it } from 'vitest';
import { StdioBreaker } from '../../src/adapters/upstreams/stdio-breaker.ts';

function make(chance = 1) {
  const time = { now: 0 };
  const breaker = new StdioBreaker({ now: () => time.now, chance: () => chance });
  const isOpen = (): boolean => {
    try {
      breaker.enter('connectors.x');
      return false;
    } catch {
      return true;
    }
  };
  /** One start that fails. */
  const fail = (): void => {
    breaker.enter('connectors.x');
    breaker.failed();
  };
  return { time, breaker, isOpen, fail };
}

describe('fault 25: a server that fails again and again', () => {
  it('is started three times, then not before a second has passed', () => {
    const { time, breaker, isOpen, fail } = make();
    for (let round = 0; round < 3; round += 1) fail();
    expect(() => breaker.enter('connectors.x')).toThrow(
      expect.objectContaining({
        code: 'ERR_CONNECTOR_UNREACHABLE',
        where: 'connectors.x',
        message: expect.stringContaining('not before 1 s from now'),
      }),
    );
    time.now = 999;
    expect(isOpen()).toBe(true);
    time.now = 1_000;
    expect(isOpen()).toBe(false);
  });

  it('is tried by one start at a time, and each that fails doubles the pause up to a minute', () => {
    const { time, breaker, isOpen, fail } = make();
    for (let round = 0; round < 3; round += 1) fail();
    const pauses: number[] = [];
    for (let round = 0; round < 8; round += 1) {
      const from = time.now;
      while (isOpen()) time.now += 500;
      pauses.push(time.now - from);
      expect(isOpen()).toBe(true); // the trial is under way
      breaker.failed();
    }
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  });

  it('has up to a fifth of its pause taken off by chance', () => {
    const { time, isOpen, fail } = make(0);
    for (let round = 0; round < 3; round += 1) fail();
    time.now = 799;
    expect(isOpen()).toBe(true);
    time.now = 800;
    expect(isOpen()).toBe(false);
  });

  it('counts those that failed together as one pause', () => {
    const { time, breaker, isOpen } = make();
    for (let round = 0; round < 20; round += 1) breaker.enter('x');
    for (let round = 0; round < 20; round += 1) breaker.failed();
    time.now = 1_000;
    expect(isOpen()).toBe(false);
  });

  it('is let in again after a trial, and closed for longer when that crashes before it has served', () => {
    const { time, breaker, isOpen, fail } = make();
    for (let round = 0; round < 3; round += 1) fail();
    time.now = 1_000;
    breaker.enter('x');
    breaker.opened();
    expect(isOpen()).toBe(false);
    breaker.failed();
    time.now = 2_999;
    expect(isOpen()).toBe(true);
    time.now = 3_000;
    expect(isOpen()).toBe(false);
  });

  it('begins to count anew once it has served a call', () => {
    const { breaker, isOpen, fail } = make();
    for (let round = 0; round < 5; round += 1) {
      fail();
      fail();
      breaker.served();
    }
    expect(isOpen()).toBe(false);
  });

  it('does not count what was called off, and lets the next one try', () => {
    const { time, breaker, isOpen, fail } = make();
    for (let round = 0; round < 9; round += 1) {
      breaker.enter('x');
      breaker.calledOff();
    }
    for (let round = 0; round < 3; round += 1) fail();
    time.now = 1_000;
    breaker.enter('x');
    breaker.calledOff();
    expect(isOpen()).toBe(false);
  });
});
