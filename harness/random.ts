/** Numbers that a seed gives again: a harness's choices, never a secret. */
export interface Random {
  /** From 0 on, below `below`. */
  below(below: number): number;
  between(from: number, to: number): number;
  chance(probability: number): boolean;
  pick<T>(from: readonly T[]): T;
  shuffle<T>(from: readonly T[]): T[];
}

/** mulberry32. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    below,
    between: (from, to) => from + next() * (to - from),
    chance: (probability) => next() < probability,
    pick: (from) => from[below(from.length)] as (typeof from)[number],
    shuffle(from) {
      const cards = [...from];
      for (let at = cards.length - 1; at > 0; at--) {
        const other = below(at + 1);
        [cards[at], cards[other]] = [cards[other] as (typeof cards)[number], cards[at] as (typeof cards)[number]];
      }
      return cards;
    },
  };
}
