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
  }
}
