import type { Schedule } from '../../seams/clock.ts';

/** Something with a deadline. The two fields are kept by `Deadlines`. */
export interface Timed {
  /** Place in the list; −1 outside it. */
  deadlineIndex: number;
  /** Ticks that are left. */
  deadlineTicks: number;
  onDeadline(): void;
}

/** Milliseconds. */
const TICK = 250;

/**
 * The deadlines of many calls on one timer, which runs only while there are any: a timer a call would cost each call more than a tick costs
 * all of them. A deadline is never early, and up to two ticks late.
 */
export class Deadlines {
  readonly #schedule: Schedule;
  readonly #entries: Timed[] = [];
  #cancelTick: (() => void) | undefined;

  constructor(schedule: Schedule) {
    this.#schedule = schedule;
  }

  /** Starts the time of an entry, or starts it anew. */
  start(entry: Timed, ms: number): void {
    entry.deadlineTicks = Math.ceil(ms / TICK) + 1;
    if (entry.deadlineIndex !== -1) return;
    entry.deadlineIndex = this.#entries.push(entry) - 1;
    this.#cancelTick ??= this.#schedule(TICK, this.#tick);
  }

  /** Stops the time of an entry. The ticks that were left stay in it. Idempotent. */
  stop(entry: Timed): void {
    const index = entry.deadlineIndex;
    if (index === -1) return;
    entry.deadlineIndex = -1;
    const last = this.#entries.pop() as Timed;
    if (last === entry) return;
    last.deadlineIndex = index;
    this.#entries[index] = last;
  }

  /** Goes on with the ticks that were left. */
  resume(entry: Timed): void {
    this.start(entry, (entry.deadlineTicks - 1) * TICK);
  }

  /** Ends the timer; entries stay without a deadline. */
  close(): void {
    this.#cancelTick?.();
    this.#cancelTick = () => {};
  }

  readonly #tick = (): void => {
    this.#cancelTick = undefined;
    // From the end, because an entry that stops gives its place to the last one, which has had its tick.
    for (let index = this.#entries.length - 1; index >= 0; index -= 1) {
      const entry = this.#entries[index];
      if (entry === undefined) continue; // an entry that was due has stopped others
      entry.deadlineTicks -= 1;
      if (entry.deadlineTicks > 0) continue;
      this.stop(entry);
      entry.onDeadline();
    }
    if (this.#entries.length > 0) this.#cancelTick ??= this.#schedule(TICK, this.#tick);
  };
}
