import type { Schedule } from '../../seams/clock.ts';
import type { ExchangeSink, HttpExchange } from './http-exchange.ts';

/** Times that one call's stream is picked up again. */
export const MOST_RESUMES = 20;
/** Milliseconds. */
const FIRST_DELAY = 1_000;
const LONGEST_DELAY = 30_000;
const SHORTEST_DELAY = 100;
const SLOW = 2_000;

/**
 * How long to wait before a stream is connected again: what the server asked for, or a second, doubled with each attempt that brought
 * nothing, and up to a fifth more by chance, so that many clients do not come back at once (fault 28).
 * @param fruitless attempts in a row that brought nothing
 * @param chance from 0 up to 1
 */
export function reconnectDelay(retryMs: number | undefined, fruitless: number, chance: number): number {
  const base = Math.max(retryMs ?? FIRST_DELAY, SHORTEST_DELAY);
  return Math.max(base, Math.min(base * 2 ** Math.min(fruitless, 16), LONGEST_DELAY)) * (1 + chance / 5);
}

export interface HeldStreamOptions {
  /** Starts one request for the stream. */
  readonly connect: (sink: ExchangeSink, lastEventId: string | undefined) => HttpExchange;
  readonly onMessage: (data: string) => void;
  /** The server answered with something else than an event stream. Undefined: never ask again. */
  readonly onRefused: (status: number, body: string) => 'retry' | undefined;
  readonly schedule: Schedule;
  readonly chance: () => number;
}

/** An event stream that is to stay: connected again when it ends, one attempt at a time, slower where it brings nothing. */
export class HeldStream implements ExchangeSink {
  /** Resolves when the first attempt has had an answer, whatever it was, or is slow to get one. */
  readonly answered: Promise<void>;
  readonly #options: HeldStreamOptions;
  #exchange: HttpExchange | undefined;
  #lastEventId: string | undefined;
  #retryMs: number | undefined;
  #fruitless = 0;
  #cancelTimer: (() => void) | undefined;
  #isClosed = false;
  readonly #resolveAnswered: () => void;

  constructor(options: HeldStreamOptions) {
    this.#options = options;
    let resolveAnswered!: () => void;
    this.answered = new Promise((resolve) => {
      resolveAnswered = resolve;
    });
    const cancelSlow = options.schedule(SLOW, resolveAnswered);
    this.#resolveAnswered = () => {
      cancelSlow();
      resolveAnswered();
    };
    this.#connect();
  }

  /** Ends it for good. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelTimer?.();
    this.#resolveAnswered();
    this.#exchange?.abort(new Error('The stream is no longer wanted'));
  }

  onHeaders(status: number): void {
    if (status < 300) this.#resolveAnswered();
  }

  onMessage(data: string): void {
    this.#fruitless = 0;
    if (!this.#isClosed) this.#options.onMessage(data);
  }

  onBody(status: number, body: string): void {
    if (!this.#isClosed && this.#options.onRefused(status, body) === 'retry') this.#connectLater();
    else this.close();
    this.#resolveAnswered();
  }

  onStreamEnd(): void {
    this.#connectLater();
  }

  onFault(_error: Error): void {
    this.#resolveAnswered();
    this.#connectLater();
  }

  #connectLater(): void {
    if (this.#isClosed) return;
    const events = this.#exchange?.events;
    this.#lastEventId = events?.lastEventId ?? this.#lastEventId;
    this.#retryMs = events?.retryMs ?? this.#retryMs;
    const { schedule, chance } = this.#options;
    this.#cancelTimer = schedule(reconnectDelay(this.#retryMs, this.#fruitless, chance()), () => this.#connect());
    this.#fruitless += 1;
  }

  #connect(): void {
    if (!this.#isClosed) this.#exchange = this.#options.connect(this, this.#lastEventId);
  }
}
