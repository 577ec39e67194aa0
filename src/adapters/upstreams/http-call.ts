import type { IncomingHttpHeaders } from 'node:http';
import type { UpstreamCall } from '../../seams/upstream.ts';
import { type BodyLimits, type ExchangeSink, HttpExchange, type LargeBody } from './http-exchange.ts';
import { type HttpPeer, isPassing, isRefusal, isSessionGone, transportFault } from './http-faults.ts';
import { cancellationText, readMessage } from './json-rpc.ts';
import { LargeResultReader } from './large-result.ts';
import { type CallHost, PendingCall } from './pending-call.ts';
import { MOST_RESUMES } from './reconnect.ts';
import { unreachable } from './upstream-faults.ts';

/** How long a stream may stay open after the reply that it was for. */
const LINGER_MS = 1_000;

/** The connection that a call belongs to, as a call over HTTP sees it. */
export interface HttpCallHost extends CallHost, HttpPeer {
  readonly limits: BodyLimits;
  readonly maxStreamedBytes: number;
  readonly hasSession: boolean;
  /** The fault for a status from 300 on; notes where the status says that the session is gone. */
  refuse(status: number, session: number, isSessionGone: boolean): Error;
  /** What a server says with a 401 or 403 about how to be let in. */
  noteChallenge(status: number, headers: IncomingHttpHeaders): void;
  /** Takes the session id of the reply to `initialize`. */
  keepSession(headers: IncomingHttpHeaders): Error | undefined;
  /** Connects again to a stream that ended before its reply, later. Undefined where the era has no such thing. */
  resume(
    exchange: HttpExchange,
    lastEventId: string,
    retryMs: number | undefined,
    fruitless: number,
  ): (() => void) | undefined;
  /** Runs something after a while, unless the connection ends first. */
  later(ms: number, task: () => void): () => void;
  /** Nothing more is heard of this exchange. */
  forget(exchange: HttpExchange): void;
}

/** One JSON-RPC request over one HTTP request, whose reply comes as a body or within an event stream. */
export class HttpCall extends PendingCall implements ExchangeSink {
  exchange: HttpExchange;
  /** Which of the connection's sessions it was sent in. */
  session = 0;
  /** HTTP status of the response; 0 before it. */
  status = 0;
  declare protected readonly host: HttpCallHost;
  #large: LargeResultReader | undefined;
  #cancelLater: (() => void) | undefined;
  #lastEventId: string | undefined;
  #retryMs: number | undefined;
  #resumes = 0;
  /** Attempts in a row to take its stream up again that brought none. */
  #fruitless = 0;

  constructor(host: HttpCallHost, call: UpstreamCall) {
    super(host, call);
    this.exchange = new HttpExchange(this, host.limits, host.where);
  }

  onHeaders(status: number, headers: () => IncomingHttpHeaders): void {
    this.status = status;
    if (status >= 300) {
      if (status === 401 || status === 403) this.host.noteChallenge(status, headers());
      return;
    }
    if (this.call.method !== 'initialize') return;
    const fault = this.host.keepSession(headers());
    if (fault !== undefined) this.breakOff(fault);
  }

  onBody(status: number, text: string): void {
    this.host.forget(this.exchange);
    if (this.isSettled || (this.#lastEventId !== undefined && isPassing(status) && this.#resume())) return;
    const message = text === '' ? undefined : readMessage(text);
    const { host } = this;
    if (message?.kind === 'reply' && message.id === this.id) {
      // A refusal in HTTP terms counts as one, unless the server put a JSON-RPC error of this request into it.
      const isError = 'error' in message.reply && !isRefusal(status, host.hasSession);
      if (status < 300 || isError) this.succeed(message.reply);
      else this.fail(host.refuse(status, this.session, isSessionGone(status, host.hasSession)));
      return;
    }
    const error = message?.kind === 'orphan_error' ? message.error : undefined;
    const isGone = isSessionGone(status, host.hasSession, error);
    if (error !== undefined && !isGone && isReadable(status)) this.succeed({ error });
    else if (status >= 300) this.fail(host.refuse(status, this.session, isGone));
    else this.fail(this.protocol('The response holds no reply to the request'));
  }

  takeLarge(head: Buffer, exchange: HttpExchange): LargeBody | undefined {
    if (this.isSettled) return undefined;
    const { where, maxStreamedBytes } = this.host;
    const large = LargeResultReader.of(head, {
      id: this.id,
      maxBytes: maxStreamedBytes,
      where,
      pause: () => exchange.pause(),
      resume: () => exchange.resume(),
      abort: (error) => this.breakOff(error),
      onProgress: () => this.keepAlive(),
    });
    this.#large = large;
    if (large !== undefined) this.succeed(large);
    return large;
  }

  onLargeEnd(): void {
    this.host.forget(this.exchange);
    this.finish();
  }

  takeEvent(event: Buffer): boolean {
    return !this.isSettled && this.hearPlainEvent(event);
  }

  onMessage(data: string): void {
    if (this.isSettled || this.hearPlain(data)) return;
    this.hear(readMessage(data));
    if (!this.isSettled || this.exchange.isAborted) return;
    this.#cancelLater = this.host.later(LINGER_MS, () =>
      this.exchange.abort(this.protocol('The stream outlived its reply')),
    );
  }

  onStreamEnd(): void {
    this.#cancelLater?.();
    this.host.forget(this.exchange);
    if (!this.isSettled && !this.#resume())
      this.fail(unreachable('The connector ended its stream before it replied', { where: this.host.where }));
  }

  onFault(error: Error): void {
    this.#cancelLater?.();
    this.host.forget(this.exchange);
    if (!this.isSettled && this.#resume()) return;
    const fault = transportFault(error, this.host);
    this.#large?.fail(fault);
    this.fail(fault);
  }

  /** Taken up again means sent before; the exchange is another one then. */
  protected override get wasSent(): boolean {
    return this.exchange.isDispatched || this.#lastEventId !== undefined;
  }

  protected override stop(error: Error, reason: 'timeout' | 'cancelled' | undefined): void {
    const { wasSent } = this;
    this.#cancelLater?.();
    this.#large?.fail(error);
    this.exchange.abort(error);
    // A modern server takes the end of the stream for the cancellation; a legacy one must not.
    if (reason === undefined || !wasSent || this.host.era === 'modern' || this.call.method === 'initialize') return;
    this.host.post(cancellationText(this.id, reason));
  }

  /** Goes on with a stream that ended too early, by event id: the request itself is never sent again (guarantee I2; SEP-1699). */
  #resume(): boolean {
    const { events } = this.exchange;
    if (events !== undefined) {
      this.#lastEventId = events.lastEventId ?? this.#lastEventId;
      this.#retryMs = events.retryMs ?? this.#retryMs;
      this.#fruitless = 0;
    }
    this.#resumes += 1;
    if (this.#lastEventId === undefined || this.#resumes > MOST_RESUMES) return false;
    const next = new HttpExchange(this, this.host.limits, this.host.where);
    this.#cancelLater = this.host.resume(next, this.#lastEventId, this.#retryMs, this.#fruitless);
    if (this.#cancelLater === undefined) return false;
    this.#fruitless += 1;
    this.exchange = next;
    return true;
  }
}

/** Statuses with which a server may answer a request that it cannot read. */
function isReadable(status: number): boolean {
  return status < 300 || (status >= 400 && status < 500 && status !== 401 && status !== 403);
}
