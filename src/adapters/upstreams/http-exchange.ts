import { isAscii } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import { type Dispatcher, util } from 'undici';
import { notePassed } from './passed-bytes.ts';
import { SseReader } from './sse-reader.ts';
import { protocolFault } from './upstream-faults.ts';

/** Reads a body too large to hold. */
export interface LargeBody {
  push(chunk: Buffer): void;
  end(): void;
}

/** What becomes of one HTTP request. Exactly one of `onBody`, `onStreamEnd`, `onLargeEnd` and `onFault` is called, and it is the last. */
export interface ExchangeSink {
  /** Response headers have come. */
  onHeaders?(status: number, headers: () => IncomingHttpHeaders): void;
  /** A plain response, whole. */
  onBody(status: number, text: string): void;
  /**
   * A plain response grows large: whoever takes it gets the rest.
   * @param head its beginning, which is not repeated
   * @returns undefined to have it held whole, within `maxBytes`
   */
  takeLarge?(head: Buffer, exchange: HttpExchange): LargeBody | undefined;
  onLargeEnd?(): void;
  /** Bytes of an event stream that begin where an event does. @returns whether they were one whole event, and are done with */
  takeEvent?(event: Buffer): boolean;
  /** One message of an event stream. */
  onMessage?(data: string): void;
  /** One event of another type than `message`. */
  onEvent?(type: string, data: string): void;
  onStreamEnd?(): void;
  onFault(error: Error): void;
}

/** What an exchange is carried by that undici has not dispatched. */
export interface ExchangeCarrier {
  /** Gives up the connection, if the exchange is still under way there. */
  abort(exchange: HttpExchange, error: Error): void;
}

/** Bytes. */
export interface BodyLimits {
  /** Largest reply that is held. */
  readonly maxReplyBytes: number;
  /** A plain reply above this is offered as a stream. */
  readonly largeBytes: number;
}

/** Enough to tell how a reply is written. */
const HEAD_BYTES = 160;
const EVENT_STREAM = /^\s*text\/event-stream\s*(;|$)/i;

/**
 * One HTTP request as undici dispatches it: collects a bounded body, hands a large one on, or reads an event stream as it comes. The handler is
 * of undici's older kind, which it calls directly: around one of the newer kind it makes two objects and reads every header, for each call.
 */
export class HttpExchange implements Dispatcher.DispatchHandler {
  /** Kept by the connection: where it stands in its list; −1 outside it. */
  place = -1;
  readonly sink: ExchangeSink;
  readonly #limits: BodyLimits;
  readonly #where: string;
  #abort: ((error?: Error) => void) | undefined;
  #carrier: ExchangeCarrier | undefined;
  #resume: (() => void) | undefined;
  #isPaused = false;
  #aborted: Error | undefined;
  #status = 0;
  #only: Buffer | undefined;
  #more: Buffer[] | undefined;
  #size = 0;
  #expected = 0;
  /** Its head was told of, and some of its body, before the library had any of it. */
  #isBegun = false;
  #events: SseReader | undefined;
  #large: LargeBody | undefined;
  #isKept = false;
  #isOver = false;

  constructor(sink: ExchangeSink, limits: BodyLimits, where: string) {
    this.sink = sink;
    this.#limits = limits;
    this.#where = where;
  }

  /** Whether the request may have reached the server. */
  get isDispatched(): boolean {
    return this.#abort !== undefined || this.#carrier !== undefined;
  }

  /** Whether it has come to its end, or was given up before it began. */
  get isOver(): boolean {
    return this.#isOver;
  }

  get isAborted(): boolean {
    return this.#aborted !== undefined;
  }

  /** Reader of the response, once it has turned out to be an event stream. */
  get events(): SseReader | undefined {
    return this.#events;
  }

  /** Ends the exchange; its connection is given up. One that still waits for a connection is never sent, and is over at once. */
  abort(error: Error): void {
    if (this.#isOver) return;
    this.#aborted ??= error;
    if (this.#abort !== undefined) this.#abort(this.#aborted);
    else if (this.#carrier !== undefined) this.#carrier.abort(this, this.#aborted);
    else this.#end(this.#aborted);
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#resume?.();
  }

  /** Its request is about to be written, by something else than undici; or what carries it is now another. */
  onWire(carrier: ExchangeCarrier): void {
    this.#carrier = carrier;
  }

  /** The head of a plain reply, with status 200, has come. Followed by `onPlainBody`, unless it is over then. */
  onPlainHead(headers: () => IncomingHttpHeaders): void {
    this.#status = 200;
    this.sink.onHeaders?.(200, headers);
  }

  onPlainBody(text: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.sink.onBody(200, text);
  }

  /**
   * The same for one that comes in pieces: an event stream, or a body that is not held whole where it is read. Followed by `onPlainData` for
   * the bytes of its body, and `onPlainEnd`.
   * @param length of the body in bytes, where it is known; else −1
   * @param resume called when more may come
   */
  onPlainParts(headers: () => IncomingHttpHeaders, isStream: boolean, length: number, resume: () => void): void {
    this.#isBegun = true;
    this.#resume = resume;
    this.#expected = length;
    this.onPlainHead(headers);
    if (isStream) this.#readEvents();
  }

  /** @param bytes its own, unless it is an event stream. @returns whether more may come at once */
  onPlainData(bytes: Buffer): boolean {
    return this.#isOver || this.#hear(bytes);
  }

  onPlainEnd(): void {
    if (!this.#isOver) this.onComplete();
  }

  onConnect(abort: (error?: Error) => void): void {
    if (this.#aborted === undefined) this.#abort = abort;
    else abort(this.#aborted);
  }

  onHeaders(status: number, headers: Buffer[], resume: () => void): boolean {
    if (status < 200) return true;
    this.#resume = resume;
    // Of a reply that was read elsewhere so far: it goes on.
    if (this.#isBegun) return !this.#isPaused;
    this.#status = status;
    this.sink.onHeaders?.(status, () => util.parseHeaders(headers) as IncomingHttpHeaders);
    if (status < 300) {
      const type = fieldOf(headers, 'content-type');
      if (type !== undefined && type !== 'application/json' && EVENT_STREAM.test(type)) this.#readEvents();
      else this.#expected = Number(fieldOf(headers, 'content-length') ?? 0);
    }
    return !this.#isPaused;
  }

  onData(chunk: Buffer): boolean {
    if (this.#large !== undefined) notePassed(chunk.length);
    return this.#hear(chunk);
  }

  #hear(chunk: Buffer): boolean {
    if (this.#events !== undefined) this.#hearEvents(this.#events, chunk);
    else if (this.#large !== undefined) this.#large.push(chunk);
    else this.#collect(chunk);
    return !this.#isPaused;
  }

  onComplete(): void {
    this.#isOver = true;
    if (this.#events !== undefined) this.sink.onStreamEnd?.();
    else if (this.#large !== undefined) {
      this.#large.end();
      this.sink.onLargeEnd?.();
    } else this.sink.onBody(this.#status, textOf(this.#whole()));
  }

  onError(error: Error): void {
    if (!this.#isOver) this.#end(this.#aborted ?? error);
  }

  #end(fault: Error): void {
    this.#isOver = true;
    this.#only = undefined;
    this.#more = undefined;
    this.sink.onFault(fault);
  }

  #readEvents(): void {
    const sink = this.sink;
    this.#events = new SseReader({
      maxBytes: this.#limits.maxReplyBytes,
      onMessage: (data) => sink.onMessage?.(data),
      onOther: (type, data) => sink.onEvent?.(type, data),
      onOverflow: () => this.#overflow(),
    });
  }

  #hearEvents(events: SseReader, chunk: Buffer): void {
    const isWhole = events.isBetween && chunk.length <= this.#limits.maxReplyBytes;
    if (!isWhole || this.sink.takeEvent?.(chunk) !== true) events.push(chunk);
  }

  #collect(chunk: Buffer): void {
    this.#size += chunk.length;
    if (this.#only === undefined) this.#only = chunk;
    else if (this.#more === undefined) this.#more = [chunk];
    else this.#more.push(chunk);
    if (this.#size > this.#limits.largeBytes || this.#expected > this.#limits.largeBytes) this.#offer();
    if (this.#large === undefined && this.#size > this.#limits.maxReplyBytes) this.#overflow();
  }

  #offer(): void {
    if (this.#isKept || this.#status >= 300 || this.#size < HEAD_BYTES) return;
    const head = this.#whole();
    this.#large = this.sink.takeLarge?.(head, this);
    if (this.#large === undefined) this.#isKept = true;
    else {
      this.#only = undefined;
      this.#more = undefined;
    }
  }

  #whole(): Buffer {
    if (this.#only === undefined) return Buffer.alloc(0);
    return this.#more === undefined ? this.#only : Buffer.concat([this.#only, ...this.#more], this.#size);
  }

  #overflow(): void {
    this.#only = undefined;
    this.#more = undefined;
    this.abort(protocolFault(`The reply exceeds ${this.#limits.maxReplyBytes} bytes`, { where: this.#where }));
  }
}

const textOf = (bytes: Buffer): string => (isAscii(bytes) ? bytes.toString('latin1') : bytes.toString('utf8'));

/** Value of a header field; what is given more than once is joined, as RFC 9110 §5.3 has it. @param name in lower case */
function fieldOf(headers: readonly Buffer[], name: string): string | undefined {
  let found: string | undefined;
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const field = headers[at] as Buffer;
    if (field.length !== name.length || field.toString('latin1').toLowerCase() !== name) continue;
    const value = (headers[at + 1] as Buffer).toString('latin1');
    found = found === undefined ? value : `${found}, ${value}`;
  }
  return found;
}
