import type { IncomingHttpHeaders } from 'node:http';
import type { Schedule } from '../../seams/clock.ts';
import type { UpstreamReply } from '../../seams/upstream.ts';
import { type ExchangeSink, HttpExchange } from './http-exchange.ts';
import { type HttpPeer, isRefusal, transportFault } from './http-faults.ts';
import { answerText, cancellationText, type Incoming, nextRequestId, readMessage, requestText } from './json-rpc.ts';
import { abortFault, protocolFault, timedOut, unreachable } from './upstream-faults.ts';

/** Requests of the server that are answered within one stream. */
const MOST_ANSWERS = 100;
/** How long a stream may stay open after the reply that it was for. */
const LINGER_MS = 1_000;

/** The connection that a call belongs to, as the call sees it. */
export interface CallHost extends HttpPeer {
  readonly schedule: Schedule;
  readonly maxReplyBytes: number;
  readonly hasSession: boolean;
  /** Sends something that no reply depends on. */
  post(text: string): void;
  /** The fault for a status from 300 on; ends the connection where the status does. */
  refuse(status: number): Error;
  /** Takes the session id of the reply to `initialize`. */
  keepSession(headers: IncomingHttpHeaders): Error | undefined;
  /** Nothing more is heard of this exchange. */
  forget(exchange: HttpExchange): void;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly timeoutMs: number;
}

/** One JSON-RPC request over one HTTP request, whose reply comes as a body or within an event stream. */
export class HttpCall implements ExchangeSink {
  readonly exchange: HttpExchange;
  readonly body: string;
  readonly reply: Promise<UpstreamReply>;
  readonly #host: CallHost;
  readonly #id = nextRequestId();
  readonly #method: string;
  readonly #signal: AbortSignal | undefined;
  readonly #cancelTimer: () => void;
  #cancelLinger = (): void => {};
  #resolve: (reply: UpstreamReply) => void = () => {};
  #reject: (error: Error) => void = () => {};
  #isSettled = false;
  #answers = 0;

  constructor(host: CallHost, method: string, params: string, { signal, timeoutMs }: CallOptions) {
    this.#host = host;
    this.#method = method;
    this.#signal = signal;
    this.body = requestText(this.#id, method, params);
    this.exchange = new HttpExchange(this, host.maxReplyBytes, host.where);
    this.reply = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#cancelTimer = host.schedule(timeoutMs, () => {
      this.#giveUp(timedOut(`No reply to ${method} within ${timeoutMs} ms`, { where: host.where }), 'timeout');
    });
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  onHeaders(status: number, headers: IncomingHttpHeaders): void {
    if (this.#method !== 'initialize' || status >= 300) return;
    const fault = this.#host.keepSession(headers);
    if (fault !== undefined) this.#breakOff(fault);
  }

  onBody(status: number, text: string): void {
    this.#host.forget(this.exchange);
    const message = text === '' ? undefined : readMessage(text);
    const isReply = message?.kind === 'reply' && message.id === this.#id;
    // A refusal in HTTP terms counts as one, unless the server put a JSON-RPC error of this request into it.
    const isError = isReply && 'error' in message.reply && !isRefusal(status, this.#host.hasSession);
    if (isReply && (status < 300 || isError)) this.#succeed(message.reply);
    else if (status >= 300) this.#fail(this.#host.refuse(status));
    else this.#fail(this.#protocol('The response holds no reply to the request'));
  }

  onMessage(data: string): void {
    if (!this.#isSettled) this.#hear(readMessage(data));
  }

  onStreamEnd(): void {
    this.#cancelLinger();
    this.#host.forget(this.exchange);
    this.#fail(unreachable('The connector ended its stream before it replied', { where: this.#host.where }));
  }

  onFault(error: Error): void {
    this.#cancelLinger();
    this.#host.forget(this.exchange);
    this.#fail(transportFault(error, this.#host));
  }

  #hear(message: Incoming): void {
    switch (message.kind) {
      case 'reply':
        // Another id is not ours to see, whatever stream it comes in (guarantee I1).
        if (message.id !== this.#id) return;
        this.#succeed(message.reply);
        this.#cancelLinger = this.#host.schedule(LINGER_MS, () =>
          this.exchange.abort(this.#protocol('The stream outlived its reply')),
        );
        return;
      case 'malformed_reply':
        if (message.id === this.#id) this.#breakOff(this.#protocol('The reply is not valid JSON-RPC'));
        return;
      case 'request':
        this.#answers += 1;
        if (this.#answers > MOST_ANSWERS) this.#breakOff(this.#protocol('The connector floods requests'));
        else this.#host.post(answerText(message));
        return;
      case 'notification':
        return;
      case 'garbage':
        this.#breakOff(this.#protocol('The connector sent an event that is not JSON-RPC'));
    }
  }

  readonly #onAbort = (): void => this.#giveUp(abortFault(this.#signal as AbortSignal), 'cancelled');

  #giveUp(error: Error, reason: string): void {
    const wasSent = this.exchange.isDispatched;
    this.#breakOff(error);
    if (wasSent && this.#method !== 'initialize') this.#host.post(cancellationText(this.#id, reason));
  }

  #breakOff(error: Error): void {
    this.#fail(error);
    this.exchange.abort(error);
  }

  #succeed(reply: UpstreamReply): void {
    if (this.#settle()) this.#resolve(reply);
  }

  #fail(error: Error): void {
    if (this.#settle()) this.#reject(error);
  }

  #settle(): boolean {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    this.#cancelTimer();
    this.#signal?.removeEventListener('abort', this.#onAbort);
    return true;
  }

  #protocol(message: string): Error {
    return protocolFault(message, { where: this.#host.where });
  }
}
