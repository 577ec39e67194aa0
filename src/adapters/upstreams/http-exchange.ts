import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { SseReader } from './sse-reader.ts';
import { protocolFault } from './upstream-faults.ts';

/** What becomes of one HTTP request. Exactly one of `onBody`, `onStreamEnd` and `onFault` is called, and it is the last. */
export interface ExchangeSink {
  /** Response headers have come. */
  onHeaders?(status: number, headers: IncomingHttpHeaders): void;
  /** A plain response, whole. */
  onBody(status: number, text: string): void;
  /** One message of an event stream. */
  onMessage?(data: string): void;
  onStreamEnd?(): void;
  onFault(error: Error): void;
}

/** One HTTP request as undici dispatches it: collects a bounded body, or reads an event stream as it comes. */
export class HttpExchange implements Dispatcher.DispatchHandler {
  readonly #sink: ExchangeSink;
  readonly #maxBytes: number;
  readonly #where: string;
  #controller: Dispatcher.DispatchController | undefined;
  #aborted: Error | undefined;
  #status = 0;
  #chunks: Buffer[] = [];
  #size = 0;
  #events: SseReader | undefined;

  constructor(sink: ExchangeSink, maxBytes: number, where: string) {
    this.#sink = sink;
    this.#maxBytes = maxBytes;
    this.#where = where;
  }

  /** Whether the request may have reached the server. */
  get isDispatched(): boolean {
    return this.#controller !== undefined;
  }

  /** Ends the exchange; its connection is given up. One that still waits for a connection is never sent. */
  abort(error: Error): void {
    this.#aborted ??= error;
    this.#controller?.abort(error);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#aborted === undefined) this.#controller = controller;
    else controller.abort(this.#aborted);
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return;
    this.#status = status;
    this.#sink.onHeaders?.(status, headers);
    const type = headers['content-type'];
    if (status < 300 && type !== undefined && /^\s*text\/event-stream\s*(;|$)/i.test(type)) {
      this.#events = new SseReader({
        maxBytes: this.#maxBytes,
        onMessage: (data) => this.#sink.onMessage?.(data),
        onOverflow: () => this.#overflow(),
      });
    }
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#events !== undefined) {
      this.#events.push(chunk);
      return;
    }
    this.#size += chunk.length;
    if (this.#size > this.#maxBytes) this.#overflow();
    else this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    if (this.#events !== undefined) {
      this.#sink.onStreamEnd?.();
      return;
    }
    const [only] = this.#chunks;
    const bytes = this.#chunks.length === 1 && only !== undefined ? only : Buffer.concat(this.#chunks, this.#size);
    this.#sink.onBody(this.#status, bytes.toString('utf8'));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#chunks = [];
    this.#sink.onFault(this.#aborted ?? error);
  }

  #overflow(): void {
    this.#chunks = [];
    this.abort(protocolFault(`The reply exceeds ${this.#maxBytes} bytes`, { where: this.#where }));
  }
}
