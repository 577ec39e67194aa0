import type { RememberedPace } from '../domain/node.ts';

const SECONDS = 61;

/**
 * Calls within a minute, at most `perMinute` in any 60 seconds. Counts by the second, so that memory does not grow with the bound: a call
 * counts for 60 to 61 seconds.
 */
export class Pace {
  readonly #perMinute: number;
  readonly #counts = new Uint32Array(SECONDS);
  #total = 0;
  #second = 0;
  #lastTaken = 0;

  constructor(perMinute: number) {
    this.#perMinute = perMinute;
  }

  /** Calls that count now. */
  count(now: number): number {
    const second = Math.floor(now / 1000);
    // A clock that went back frees nothing: what was counted counts until it has caught up.
    const passed = Math.min(SECONDS, second - this.#second);
    for (let step = 1; step <= passed; step++) {
      const index = (this.#second + step) % SECONDS;
      this.#total -= this.#counts[index] as number;
      this.#counts[index] = 0;
    }
    if (passed > 0) this.#second = second;
    return this.#total;
  }

  /** Whether one more call may be made now. A time that is none allows nothing. */
  hasRoom(now: number): boolean {
    return Number.isFinite(now) && this.count(now) < this.#perMinute;
  }

  /** Counts one call; after `hasRoom` at the same time. */
  take(): void {
    const index = this.#second % SECONDS;
    this.#counts[index] = (this.#counts[index] as number) + 1;
    this.#total++;
    this.#lastTaken = this.#second;
  }

  /** Calls that count now, and when the last of them was made: enough for whoever goes on. Undefined where none counts. */
  remember(now: number): RememberedPace | undefined {
    const calls = this.count(now);
    return calls === 0 ? undefined : [calls, this.#lastTaken * 1_000];
  }

  /** Goes on from what another counted: all of it counts as long as its last. */
  restore([calls, at]: RememberedPace): void {
    this.count(at);
    const index = this.#second % SECONDS;
    this.#counts[index] = (this.#counts[index] as number) + calls;
    this.#total += calls;
    this.#lastTaken = this.#second;
  }
}

/** Of each that has calls that count; undefined where there is none. */
export function rememberPaces(
  paces: Iterable<readonly [string, Pace]>,
  now: number,
): Readonly<Record<string, RememberedPace>> | undefined {
  let all: Record<string, RememberedPace> | undefined;
  for (const [name, pace] of paces) {
    const one = pace.remember(now);
    if (one === undefined) continue;
    all ??= {};
    all[name] = one;
  }
  return all;
}
