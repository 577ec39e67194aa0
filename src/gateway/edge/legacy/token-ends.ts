import type { Clock, Schedule } from '../../../seams/clock.ts';
import type { KeptChannel } from './kept-channel.ts';

const STEP_MS = 1_000;

/**
 * Closes GET streams before the tokens end that they were opened with; their clients come back with fresh ones. One timer for all, and none
 * while there is no stream.
 */
export class TokenEnds {
  readonly #clock: Clock;
  readonly #schedule: Schedule;
  readonly #channels = new Set<KeptChannel>();
  #isRunning = false;

  constructor(clock: Clock, schedule: Schedule) {
    this.#clock = clock;
    this.#schedule = schedule;
  }

  add(channel: KeptChannel): void {
    this.#channels.add(channel);
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#schedule(STEP_MS, this.#step);
  }

  remove(channel: KeptChannel): void {
    this.#channels.delete(channel);
  }

  readonly #step = (): void => {
    this.#isRunning = this.#channels.size > 0;
    if (!this.#isRunning) return;
    this.#schedule(STEP_MS, this.#step);
    // What would end before the next look ends now: no stream outlives its token.
    const before = this.#clock() + STEP_MS;
    for (const channel of this.#channels) channel.closeBefore(before);
  };
}
