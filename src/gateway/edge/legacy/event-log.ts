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
/** Stands where an event was, so that its text is not held. */
const GONE: Entry = { of: { logged() {}, dropped() {} }, number: 0, text: '', round: -1 };

/**
 * What a session's streams said last, for a client that lost its connection: at most 256 events, and what its budget allows. The oldest make
 * room; what did not fit is not kept, and found missing when somebody asks for it.
 */
export class EventLog {
  readonly #budget: Budget;
  readonly #entries: Entry[] = [];
  /** Index of the oldest that is kept: taking it out of the array each time would move all the others. */
  #first = 0;
  #round = 0;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** @param number counts the events of one stream, without gaps */
  append(of: Logged, number: number, text: string): void {
    if (this.#count >= MOST_EVENTS) this.#drop(1);
    while (!this.#budget.take(text.length)) {
      if (this.#count === 0) return;
      this.#drop(1);
    }
    this.#entries.push({ of, number, text, round: this.#round });
    of.logged();
  }

  /** The texts of a stream after the event of a number up to its last, or undefined when one of them is no longer here. */
  after(of: Logged, number: number, last: number): string[] | undefined {
    const texts: string[] = [];
    for (let at = this.#first; at < this.#entries.length; at++) {
      const entry = this.#entries[at] as Entry;
      if (entry.of === of && entry.number > number) texts.push(entry.text);
    }
    return texts.length === last - number ? texts : undefined;
  }

  /** Drops what was there at the last call but one: a connection that broke is missed long before. */
  age(): void {
    const kept = this.#entries.findIndex((entry, at) => at >= this.#first && entry.round >= this.#round);
    this.#drop(kept === -1 ? this.#count : kept - this.#first);
    this.#round += 1;
  }

  clear(): void {
    this.#drop(this.#count);
  }

  get #count(): number {
    return this.#entries.length - this.#first;
  }

  #drop(count: number): void {
    for (const end = this.#first + count; this.#first < end; this.#first++) {
      const { of, text } = this.#entries[this.#first] as Entry;
      this.#entries[this.#first] = GONE;
      this.#budget.give(text.length);
      of.dropped();
    }
    if (this.#count > 0 && this.#first < MOST_EVENTS) return;
    this.#entries.splice(0, this.#first);
    this.#first = 0;
  }
}
