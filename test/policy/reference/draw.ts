/** Random choices that a seed repeats. */
export interface Draw {
  /** A whole number from 0 up to, not including, `below`. */
  below(below: number): number;
  /** Whether something that happens once in `times` happens. */
  onceIn(times: number): boolean;
  of<T>(list: readonly T[]): T;
  /** Each with the same chance in or out. */
  some<T>(list: readonly T[]): T[];
  /** Mostly all of them. */
  most<T>(list: readonly T[]): T[];
}

/** Mulberry32: 32 bits of state are plenty for drawing test cases. */
export function createDraw(seed: number): Draw {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (bound: number) => Math.floor(next() * bound);
  return {
    below,
    onceIn: (times) => below(times) === 0,
    of: (list) => list[below(list.length)] as (typeof list)[number],
    some: (list) => list.filter(() => below(2) === 0),
    most: (list) => list.filter(() => below(12) !== 0),
  };
}
