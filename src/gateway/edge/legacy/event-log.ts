/** A part of the memory that kept events may take: a session's share of its agent's, an agent's of the gateway's (guarantee I3). */
export class Budget {
  readonly #max: number;
  readonly #above: Budget | undefined;
  #used = 0;

  constructor(max: number, above?: Budget) {
    this.#max = max;
    this.#above = above;
  }

  get used(): number {
    return this.#used;
  }

  take(size: number): boolean {
    if (this.#used + size > this.#max || this.#above?.take(size) === false) return false;
    this.#used += size;
    return true;
  }

  give(size: number): void {
    this.#used -= size;
    this.#above?.give(size);
  }
}

/** A stream whose events are kept. */
export interface Logged {
  /** The log holds one of its events more. */
  logged(): void;
  /** The log holds one of its events less. */
  dropped(): void;
}

interface Entry {
  readonly of: Logged;
  readonly number: number;
  readonly text: string;
  readonly round: number;
}

const MOST_EVENTS = 256;

/**
 * What a session's streams said last, for a client that lost its connection: at most 256 events, and what its budget allows. The oldest make
 * room; what did not fit is not kept, and found missing when somebody asks for it.
 */
export class EventLog {
  readonly #budget: Budget;
  #entries: Entry[] = [];
  #round = 0;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** @param number counts the events of one stream, without gaps */
  append(of: Logged, number: number, text: string): void {
    if (this.#entries.length >= MOST_EVENTS) this.#drop(1);
    while (!this.#budget.take(text.length)) {
      if (this.#entries.length === 0) return;
      this.#drop(1);
    }
    this.#entries.push({ of, number, text, round: this.#round });
    of.logged();
  }

  /** The texts of a stream after the event of a number up to its last, or undefined when one of them is no longer here. */
  after(of: Logged, number: number, last: number): string[] | undefined {
    const texts: string[] = [];
    for (const entry of this.#entries) if (entry.of === of && entry.number > number) texts.push(entry.text);
    return texts.length === last - number ? texts : undefined;
  }

  /** Drops what was there at the last call but one: a connection that broke is missed long before. */
  age(): void {
    const kept = this.#entries.findIndex((entry) => entry.round >= this.#round);
    this.#drop(kept === -1 ? this.#entries.length : kept);
    this.#round += 1;
  }

  clear(): void {
    this.#drop(this.#entries.length);
  }

  #drop(count: number): void {
    for (const { of, text } of this.#entries.splice(0, count)) {
      this.#budget.give(text.length);
      of.dropped();
    }
  }
}
