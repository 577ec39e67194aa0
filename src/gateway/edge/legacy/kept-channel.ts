import type { Clock } from '../../../seams/clock.ts';
import type { KeptStream } from '../reply.ts';
import { COMMENT, type SseStream } from '../sse-stream.ts';
import type { EventLog, Logged } from './event-log.ts';

/** What a channel needs of its session. */
export interface ChannelHome {
  readonly clock: Clock;
  /** Whether streams begin with an event that says where to go on from (SEP-1699, 2025-11-25). Earlier clients would take it for a message. */
  readonly isPrimed: boolean;
  /** Whether the session lives, and the gateway goes on. */
  readonly isKept: boolean;
  /** Milliseconds until a client should come back; another for each stream, so that not all come at once (fault 28). */
  retryMs(): number;
  log(): EventLog;
  /** It has lost or got its connection, or ended. */
  changed(channel: KeptChannel): void;
  /** It has ended, and nothing of it is kept. */
  over(channel: KeptChannel): void;
}

/**
 * One logical stream of a session: the GET stream, or the reply to a POST once it is a stream. A connection carries it for a while; when that
 * breaks, another may take over where it was. Its events are named `<stream>-<n>`.
 */
export class KeptChannel implements KeptStream, Logged {
  readonly number: number;
  /** The reply to a POST; else a GET stream. */
  readonly isReply: boolean;
  /** Number of the last event. */
  last = 0;
  carrier: SseStream | undefined;
  /** When the token of whoever opened the carrier ends; a POST's own connection lives as long as its call. */
  carriedUntil = Number.POSITIVE_INFINITY;
  isEnded = false;
  /** Sweeps of the registry since the connection was lost. */
  sweeps = 0;
  readonly #home: ChannelHome;
  /** Number of the last event that was written to any connection. */
  #written = 0;
  #onGone: (() => void) | undefined;
  #kept = 0;

  constructor(home: ChannelHome, number: number, isReply: boolean) {
    this.#home = home;
    this.number = number;
    this.isReply = isReply;
  }

  get isKept(): boolean {
    return this.#home.isKept;
  }

  /** Whether a connection carries it. One whose token has ended is closed: nothing is said to it any more. */
  isLive(): boolean {
    if (this.carrier?.isOpen !== true) return false;
    // A reply's own connection needs no look at the clock.
    if (this.carriedUntil === Number.POSITIVE_INFINITY || this.carriedUntil > this.#home.clock()) return true;
    this.carrier.end();
    return false;
  }

  /** Closes the connection when the token that it was opened with ends before then. */
  closeBefore(time: number): void {
    if (this.carriedUntil <= time) this.carrier?.end();
  }

  /** No client can come back any more: what runs for one that has gone need not go on. */
  abandon(): void {
    if (!this.isEnded && !this.isLive()) this.#onGone?.();
  }

  begin(stream: SseStream, onGone: () => void): void {
    this.carrier = stream;
    this.#onGone = onGone;
    if (this.#home.isPrimed) stream.write(this.#priming());
  }

  /**
   * Lets a new connection carry it, at once in place of the old one.
   * @param after number of the last event that the client has; undefined: what was never written to a connection
   * @returns false when what came after is no longer kept; nothing has changed then
   */
  resume(stream: () => SseStream, until: number, after: number | undefined): boolean {
    const missed = this.missedSince(after ?? this.#written);
    if (missed === undefined) return false;
    this.carrier?.supersede();
    const carrier = stream();
    this.carrier = carrier;
    this.carriedUntil = until;
    this.sweeps = 0;
    const begin = this.#home.isPrimed && after === undefined ? this.#priming() : COMMENT;
    carrier.write(begin + missed.join(''));
    this.#written = this.last;
    if (this.isEnded) carrier.end();
    this.#home.changed(this);
    return true;
  }

  /** The events after one, or undefined when one of them is no longer kept. */
  missedSince(after: number): string[] | undefined {
    if (after > this.last) return undefined;
    return after === this.last ? [] : this.#home.log().after(this, after, this.last);
  }

  send(json: string, isAscii?: boolean): void {
    if (this.isEnded) return;
    this.last += 1;
    const text = `id: ${this.number}-${this.last}\ndata: ${json}\n\n`;
    if (this.#home.isKept) this.#home.log().append(this, this.last, text);
    if (!this.isLive()) return;
    this.carrier?.write(text, isAscii);
    this.#written = this.last;
  }

  beginEvent(): string {
    return `id: ${this.number}-${this.last + 1}\n`;
  }

  skip(): void {
    this.last += 1;
    this.#written = this.last;
  }

  end(): void {
    this.isEnded = true;
    this.#onGone = undefined;
    this.carrier?.end();
    this.#home.changed(this);
    if (this.#kept === 0 || !this.isReply) this.#home.over(this);
  }

  logged(): void {
    this.#kept += 1;
  }

  dropped(): void {
    this.#kept -= 1;
    if (this.#kept === 0 && this.isEnded) this.#home.over(this);
  }

  /** A connection has closed. */
  closed(stream: SseStream): void {
    if (this.carrier !== stream) return;
    this.carrier = undefined;
    this.carriedUntil = Number.POSITIVE_INFINITY;
    this.#home.changed(this);
  }

  #priming(): string {
    return `id: ${this.number}-${this.#written}\nretry: ${this.#home.retryMs()}\ndata: \n\n`;
  }
}
