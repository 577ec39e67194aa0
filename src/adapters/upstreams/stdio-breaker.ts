import type { Clock } from '../../seams/clock.ts';
import { unreachable } from './upstream-faults.ts';

/** Failures in a row after which nothing is started for a while. */
const MOST_FAILURES = 3;
/** Milliseconds. */
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 60_000;

export interface BreakerOptions {
  /** Milliseconds, from any beginning: better one that nobody sets. */
  readonly now: Clock;
  /** From 0 up to 1, for jitter. */
  readonly chance: () => number;
}

/**
 * Keeps a server that crashes again and again from being started again and again (fault 25). After some failures in a row it opens, and
 * everything is refused at once; then one start at a time is tried, and each that fails doubles the pause. A served call closes it.
 */
export class StdioBreaker {
  readonly #options: BreakerOptions;
  #failures = 0;
  #pauses = 0;
  /** Not before this. */
  #until = Number.NEGATIVE_INFINITY;
  #isTrying = false;

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  /**
   * Asks for leave to start a process. Each leave is followed by one `opened`, `failed` or `calledOff`.
   * @throws `ERR_CONNECTOR_UNREACHABLE`, saying when it will be tried again
   */
  enter(where: string): void {
    if (this.#failures < MOST_FAILURES) return;
    const left = this.#until - this.#options.now();
    if (left > 0 || this.#isTrying) {
      const when = left > 0 ? `not before ${Math.ceil(left / 100) / 10} s from now` : 'now, by another call';
      throw unreachable(`The connector failed ${this.#failures} times in a row; it is tried again ${when}`, {
        where,
        hint: 'The error of its last start says why; `remit doctor` shows it.',
      });
    }
    this.#isTrying = true;
  }

  /** The process runs and has introduced itself. What it is worth, the first call will tell. */
  opened(): void {
    this.#isTrying = false;
  }

  /** We did not want it any more. */
  calledOff(): void {
    this.#isTrying = false;
  }

  /** A start failed, or a process ended unasked. */
  failed(): void {
    this.#isTrying = false;
    this.#failures += 1;
    const now = this.#options.now();
    // Those that failed together with the first are one failure.
    if (this.#failures < MOST_FAILURES || now < this.#until) return;
    const pause = Math.min(FIRST_PAUSE * 2 ** this.#pauses, LONGEST_PAUSE);
    this.#pauses = Math.min(this.#pauses + 1, 16);
    this.#until = now + pause * (0.8 + this.#options.chance() / 5);
  }

  /** A call has had its reply. */
  served(): void {
    if (this.#failures === 0) return;
    this.#failures = 0;
    this.#pauses = 0;
    this.#until = Number.NEGATIVE_INFINITY;
  }
}
