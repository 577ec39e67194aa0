import { type buildConnector, errors } from 'undici';
import type { Schedule } from '../../../seams/clock.ts';
import type { HttpExchange } from '../http-exchange.ts';
import { PlainHead } from './plain-head.ts';
import { type WireHost, WireSocket } from './wire-socket.ts';

/** One look at the sockets that rest. Milliseconds. */
const TICK = 1_000;
/** How long a socket rests at most. Milliseconds. */
const LONGEST_REST = 4_000;
/** A server closes on its own clock, and its word that it did is under way for a while. Milliseconds. */
const MARGIN = 2_000;
/** How long a stream in small pieces is not read. Milliseconds. */
const LULL = 3;
/** Calls that go another way after a reply that was not plain; doubled each time, up to the most. */
const FIRST_DETOUR = 256;
const LONGEST_DETOUR = 65_536;
/** Requests that were taken and are still in the list. */
const MOST_TAKEN = 256;

export interface WirePoolOptions {
  readonly url: URL;
  /** The same as for all other connections to the connector. */
  readonly connect: buildConnector.connector;
  readonly schedule: Schedule;
  readonly maxSockets: number;
  /** Largest body that is read here, in bytes. */
  readonly largest: number;
}

interface WireRequest {
  readonly exchange: HttpExchange;
  readonly head: string;
  readonly body: string;
}

/**
 * Sends requests over sockets of its own, as text, and reads plain replies: a fraction of what the library spends on each. Sockets carry no
 * identity (guarantee I1). Requests are written at the end of a turn of the event loop, to sockets that have rested for one whole turn: what a
 * server has said meanwhile without having been asked, or that it has closed, is heard before.
 */
export class WirePool implements WireHost {
  readonly head = new PlainHead();
  readonly origin: string;
  /** As in the `Host` header. */
  readonly host: string;
  readonly #options: WirePoolOptions;
  readonly #all = new Set<WireSocket>();
  readonly #waiting: WireRequest[] = [];
  /** Of `#waiting`, what has been taken. */
  #taken = 0;
  /** The last one rested least. */
  readonly #idle: WireSocket[] = [];
  /** Those that have answered within this turn. */
  #resting: WireSocket[] = [];
  /** Those that are not read for a moment. */
  #lulled: WireSocket[] = [];
  #cancelLull: (() => void) | undefined;
  #connecting = 0;
  #isTurnAhead = false;
  #cancelTick: (() => void) | undefined;
  #isClosed = false;
  #detour = 0;
  #nextDetour = FIRST_DETOUR;

  constructor(options: WirePoolOptions) {
    this.#options = options;
    this.origin = options.url.origin;
    this.host = options.url.host;
  }

  /** Asked once a call. @returns whether it should come here: not for a while after a reply that was not plain */
  takesNext(): boolean {
    if (this.#detour === 0) return true;
    this.#detour -= 1;
    return false;
  }

  /** One that is given up while it waits is never sent. @param head up to `content-length`, checked */
  dispatch(exchange: HttpExchange, head: string, body: string): void {
    if (this.#isClosed) {
      exchange.onError(new errors.ClientDestroyedError());
      return;
    }
    this.#waiting.push({ exchange, head, body });
    this.#awaitTurn();
  }

  rest(socket: WireSocket, seconds: number): void {
    this.#nextDetour = FIRST_DETOUR;
    const ms = seconds === -1 ? LONGEST_REST : Math.min(LONGEST_REST, seconds * 1_000 - MARGIN);
    socket.ticks = Math.floor(ms / TICK);
    if (socket.ticks <= 0) {
      socket.end(new errors.SocketError('closed'));
      return;
    }
    this.#resting.push(socket);
    this.#cancelTick ??= this.#options.schedule(TICK, this.#tick);
    this.#awaitTurn();
  }

  lull(socket: WireSocket): void {
    this.#lulled.push(socket);
    this.#cancelLull ??= this.#options.schedule(LULL, this.#endLull);
  }

  drop(socket: WireSocket): void {
    if (!this.#all.delete(socket)) return;
    remove(this.#idle, socket);
    remove(this.#resting, socket);
    // Its place is free.
    if (this.#waiting.length > this.#taken) this.#awaitTurn();
  }

  noteOther(): void {
    if (this.#detour > 0) return;
    this.#detour = this.#nextDetour;
    this.#nextDetour = Math.min(this.#nextDetour * 2, LONGEST_DETOUR);
  }

  /** Ends every connection, and what is under way or waits. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#cancelTick?.();
    this.#cancelLull?.();
    const error = new errors.ClientDestroyedError();
    for (const socket of [...this.#all]) socket.end(error);
    for (let next = this.#next(); next !== undefined; next = this.#next()) next.exchange.onError(error);
  }

  #awaitTurn(): void {
    if (this.#isTurnAhead) return;
    this.#isTurnAhead = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#isTurnAhead = false;
    if (this.#isClosed) return;
    for (let socket = this.#idle.pop(); socket !== undefined; socket = this.#idle.pop()) {
      if (!socket.isUsable) continue; // it will say that it has closed
      const next = this.#next();
      if (next === undefined) {
        this.#idle.push(socket);
        break;
      }
      socket.send(next.exchange, next.head, next.body);
    }
    const isMore = this.#resting.length > 0;
    if (isMore) {
      this.#idle.push(...this.#resting);
      this.#resting = [];
    }
    const waiting = this.#waiting.length - this.#taken;
    if (waiting === 0) return;
    if (isMore) this.#awaitTurn();
    const places = this.#options.maxSockets - this.#all.size - this.#connecting;
    const wanted = Math.min(places, waiting - this.#idle.length - this.#connecting);
    for (let opened = 0; opened < wanted; opened += 1) this.#open();
  };

  /** The request that has waited longest and is still wanted. */
  #next(): WireRequest | undefined {
    while (this.#taken < this.#waiting.length) {
      const next = this.#waiting[this.#taken] as WireRequest;
      this.#taken += 1;
      if (this.#taken === this.#waiting.length || this.#taken === MOST_TAKEN) {
        this.#waiting.splice(0, this.#taken);
        this.#taken = 0;
      }
      if (!next.exchange.isOver) return next;
    }
    return undefined;
  }

  #open(): void {
    const { hostname, protocol, port } = this.#options.url;
    this.#connecting += 1;
    const bare = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
    this.#options.connect({ hostname: bare, host: this.host, protocol, port }, (error, socket) => {
      this.#connecting -= 1;
      if (error !== null) this.#next()?.exchange.onError(error);
      else if (this.#isClosed) socket.destroy();
      else {
        const opened = new WireSocket(socket, this, this.#options.largest);
        opened.ticks = LONGEST_REST / TICK;
        this.#all.add(opened);
        this.#idle.push(opened);
        this.#cancelTick ??= this.#options.schedule(TICK, this.#tick);
      }
      this.#awaitTurn();
    });
  }

  readonly #endLull = (): void => {
    this.#cancelLull = undefined;
    const lulled = this.#lulled;
    this.#lulled = [];
    for (const socket of lulled) socket.goOn();
  };

  readonly #tick = (): void => {
    this.#cancelTick = undefined;
    for (const socket of [...this.#idle, ...this.#resting]) {
      socket.ticks -= 1;
      if (socket.ticks <= 0) socket.end(new errors.SocketError('closed'));
    }
    if (this.#idle.length + this.#resting.length > 0) this.#cancelTick = this.#options.schedule(TICK, this.#tick);
  };
}

function remove(from: WireSocket[], socket: WireSocket): void {
  const at = from.indexOf(socket);
  if (at !== -1) from.splice(at, 1);
}
