import type { Schedule } from '../../seams/clock.ts';

/** What is to be woken once an interval. `slot` belongs to the pulse; −1 while it is in none. */
export interface Beating {
  slot: number;
  beat(): void;
}

/** Parts of an interval: what was added together is woken together, the rest at other times. */
const SLOTS = 16;

/**
 * One timer for any number of heartbeats: a wheel whose slots are visited one after the other. An entry is first woken between one
 * interval and a sixteenth less after it was added. The timer runs only while there is something to wake.
 */
export class Pulse {
  readonly #schedule: Schedule;
  readonly #stepMs: number;
  readonly #slots: Set<Beating>[] = [];
  #at = 0;
  #size = 0;
  #isRunning = false;

  constructor(schedule: Schedule, intervalMs: number) {
    this.#schedule = schedule;
    this.#stepMs = Math.max(1, intervalMs / SLOTS);
    for (let slot = 0; slot < SLOTS; slot++) this.#slots.push(new Set());
  }

  get size(): number {
    return this.#size;
  }

  add(entry: Beating): void {
    if (entry.slot !== -1) return;
    entry.slot = this.#at;
    this.#slot(this.#at).add(entry);
    this.#size += 1;
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#schedule(this.#stepMs, this.#step);
  }

  remove(entry: Beating): void {
    if (entry.slot === -1) return;
    this.#slot(entry.slot).delete(entry);
    entry.slot = -1;
    this.#size -= 1;
  }

  readonly #step = (): void => {
    this.#isRunning = this.#size > 0;
    if (!this.#isRunning) return;
    this.#schedule(this.#stepMs, this.#step);
    this.#at = (this.#at + 1) % SLOTS;
    for (const entry of this.#slot(this.#at)) entry.beat();
  };

  #slot(at: number): Set<Beating> {
    return this.#slots[at] as Set<Beating>;
  }
}

const pulses = new WeakMap<Schedule, Map<number, Pulse>>();

/** The one pulse for an interval on these timers: whoever asks shares it. */
export function pulseOf(schedule: Schedule, intervalMs: number): Pulse {
  const known = pulses.get(schedule)?.get(intervalMs);
  if (known !== undefined) return known;
  const pulse = new Pulse(schedule, intervalMs);
  pulses.set(schedule, new Map(pulses.get(schedule)).set(intervalMs, pulse));
  return pulse;
}
