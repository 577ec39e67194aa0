import type { Socket } from 'node:net';
import type { HttpResponse, WholeRequest } from '../../gateway/edge/client-http.ts';
import { type KnownHead, MOST_REQUEST, readWholeRequest } from './read-whole-request.ts';
import { type Carrier, WireResponse } from './wire-response.ts';

/** What the connections of a server share. */
export interface WireHost {
  /** Names under which this server may be addressed, in lower case. */
  readonly hosts: ReadonlySet<string>;
  /** No more is begun: a response that begins says that its connection ends. */
  readonly isClosing: boolean;
  /** Value of `Date`, ready for a head. */
  date(): string;
  /** Counts up every few seconds. */
  readonly tick: number;
  /** Takes a whole request; false for one that Node's server should have instead. */
  take(request: WholeRequest, response: HttpResponse): boolean;
  /** From here on the connection, with all that is unread, is Node's. */
  toNode(socket: Socket): void;
  forget(connection: WireConnection): void;
}

const KEPT = 'Connection: keep-alive\r\nKeep-Alive: timeout=30\r\n';
const ENDING = 'Connection: close\r\n';
/** A request, or what comes beside one under way, in more pieces than this is put together by Node's server. */
const MOST_PIECES = 8;

/**
 * A client's connection, one request at a time. Requests that are plain and come whole are read here; the first thing that is not so makes the connection
 * Node's for good, from that byte on, so that there is one reader only of anything unusual.
 */
export class WireConnection implements Carrier {
  readonly socket: Socket;
  /** When it last had something to do. */
  lastTick: number;
  readonly #host: WireHost;
  /** The connection ends with the response whose head has been written. */
  #isLast = false;
  #head: KnownHead | undefined;
  #response: WireResponse | undefined;
  /** What came while a response was under way, or the beginning of a request. */
  #unread: Buffer | undefined;
  #pieces = 0;

  constructor(socket: Socket, host: WireHost) {
    this.socket = socket;
    this.#host = host;
    this.lastTick = host.tick;
    socket.on('data', this.#onData).on('drain', this.#onDrain).on('end', this.#onEnd);
    socket.on('error', this.#onError).on('close', this.#onClose);
  }

  get isBusy(): boolean {
    return this.#response !== undefined;
  }

  /** The beginning of a request has come, and not the rest. */
  get isHalfSaid(): boolean {
    return this.#unread !== undefined && this.#response === undefined;
  }

  commonFields(): string {
    this.#isLast ||= this.#host.isClosing;
    return `${this.#host.date()}${this.#isLast ? ENDING : KEPT}`;
  }

  finished(response: WireResponse): void {
    if (this.#response !== response) return;
    this.#response = undefined;
    this.lastTick = this.#host.tick;
    if (this.#isLast) {
      this.socket.end();
      return;
    }
    if (this.#unread !== undefined) process.nextTick(this.#goOn);
  }

  /** With what a client has sent before it was answered. */
  readonly #goOn = (): void => {
    const unread = this.#unread;
    if (unread === undefined || this.#response !== undefined || this.socket.destroyed) return;
    this.#unread = undefined;
    if (this.socket.isPaused()) this.socket.resume();
    this.#read(unread);
  };

  /** What is silent is closed, and what is half said is Node's, which measures how long it takes. */
  rest(): void {
    if (this.isBusy) return;
    if (this.#unread === undefined) this.socket.end();
    else this.#handOver(this.#unread);
  }

  readonly #onData = (bytes: Buffer): void => {
    if (this.#unread === undefined) {
      this.#pieces = 1;
      if (this.#response === undefined) this.#read(bytes);
      else this.#unread = bytes;
      return;
    }
    const unread = Buffer.concat([this.#unread, bytes]);
    this.#pieces += 1;
    this.#unread = undefined;
    const isMuch = this.#pieces > MOST_PIECES || unread.length > MOST_REQUEST;
    if (this.#response === undefined) {
      if (isMuch) this.#handOver(unread);
      else this.#read(unread);
      return;
    }
    this.#unread = unread;
    if (isMuch) this.socket.pause();
  };

  #read(bytes: Buffer): void {
    const host = this.#host;
    const read = host.isClosing ? 'other' : readWholeRequest(bytes, this.#head, host.hosts);
    if (read === 'incomplete') {
      this.#unread = bytes;
      return;
    }
    if (read === 'other') {
      this.#handOver(bytes);
      return;
    }
    this.#head = read.head;
    const response = new WireResponse(this);
    this.#response = response;
    if (host.take(read.request, response)) return;
    this.#response = undefined;
    this.#handOver(bytes);
  }

  #handOver(bytes: Buffer): void {
    const { socket } = this;
    this.#host.forget(this);
    socket.off('data', this.#onData).off('drain', this.#onDrain).off('end', this.#onEnd);
    socket.off('error', this.#onError).off('close', this.#onClose);
    socket.pause();
    socket.unshift(bytes);
    this.#host.toNode(socket);
    socket.resume();
  }

  readonly #onDrain = (): void => {
    this.#response?.emit('drain');
  };

  /** The client says nothing more. As Node has it, it is not waited for either. */
  readonly #onEnd = (): void => {
    this.socket.end();
  };

  readonly #onError = (): void => {
    this.socket.destroy();
  };

  readonly #onClose = (): void => {
    this.#host.forget(this);
    const response = this.#response;
    this.#response = undefined;
    response?.over();
  };
}
