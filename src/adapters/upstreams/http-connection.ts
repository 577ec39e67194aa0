import type { IncomingHttpHeaders } from 'node:http';
import type { Pool } from 'undici';
import type { Era } from '../../domain/era.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Schedule } from '../../seams/clock.ts';
import type { Upstream, UpstreamCall, UpstreamEvents, UpstreamReply, Watch } from '../../seams/upstream.ts';
import type { Deadlines } from './deadlines.ts';
import type { HttpCall, HttpCallHost } from './http-call.ts';
import { type BodyLimits, type ExchangeSink, HttpExchange } from './http-exchange.ts';
import { statusFault } from './http-faults.ts';
import { answerText, type Incoming, ownAnswer } from './json-rpc.ts';
import { PendingCall } from './pending-call.ts';
import { SideExchange } from './side-exchange.ts';
import { calledOff, unreachable, unsent } from './upstream-faults.ts';
import { RequestHeads } from './wire/request-heads.ts';
import type { WirePool } from './wire/wire-pool.ts';

/** Deadline of what no caller waits for. Milliseconds. */
const SIDE_TIMEOUT = 5_000;
/** Requests under way, beyond which what the server asks is no longer answered. */
const MOST_EXCHANGES = 1_000;
/** Questions outside requests that the client has not answered. */
const MOST_OPEN_QUESTIONS = 32;

export interface HttpConnectionOptions {
  /** For requests. */
  readonly pool: Pool;
  /** For calls, as long as their replies are plain. */
  readonly wire: WirePool;
  /** For streams that stay open, so that they take no place of a request's. */
  readonly streamPool: Pool;
  /** Path with query. */
  readonly path: string;
  /** Flat list of names and values; holds the injected credential. */
  readonly headers: readonly string[];
  readonly hasCredential: boolean;
  readonly schedule: Schedule;
  readonly deadlines: Deadlines;
  readonly chance: () => number;
  readonly limits: BodyLimits;
  readonly maxStreamedBytes: number;
  readonly events: UpstreamEvents | undefined;
  readonly onChallenge: ((status: number, header: string) => void) | undefined;
  /** What the operator knows the connector by. */
  readonly where: string;
}

/** What connections over HTTP have in common, whatever the era. Held by one task; only sockets are shared, by the pools. */
export abstract class HttpConnection implements Upstream, HttpCallHost {
  abstract readonly era: Era;
  abstract readonly protocolVersion: string;
  abstract readonly capabilities: JsonObject;
  abstract readonly hasSession: boolean;
  readonly pid = undefined;
  readonly closed: Promise<void>;
  readonly where: string;
  readonly hasCredential: boolean;
  readonly deadlines: Deadlines;
  readonly events: UpstreamEvents | undefined;
  readonly limits: BodyLimits;
  readonly maxStreamedBytes: number;
  protected readonly options: HttpConnectionOptions;
  protected fault: Error | undefined;
  /** Where requests go. */
  protected path: string;
  /** Under way; each knows its place. */
  readonly #exchanges: HttpExchange[] = [];
  readonly #timers = new Set<() => void>();
  readonly #heads: RequestHeads;
  #openQuestions = 0;
  #closing: Promise<void> | undefined;
  #resolveClosed!: () => void;

  constructor(options: HttpConnectionOptions) {
    this.options = options;
    this.path = options.path;
    this.#heads = new RequestHeads(options.wire.host);
    this.where = options.where;
    this.hasCredential = options.hasCredential;
    this.deadlines = options.deadlines;
    this.events = options.events;
    this.limits = options.limits;
    this.maxStreamedBytes = options.maxStreamedBytes;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  abstract request(call: UpstreamCall): Promise<UpstreamReply>;
  abstract notify(method: string, params: string): void;
  abstract watch(wanted: Watch): Promise<void>;
  abstract post(text: string): void;
  abstract keepSession(headers: IncomingHttpHeaders): Error | undefined;
  abstract resume(
    exchange: HttpExchange,
    lastEventId: string,
    retryMs: number | undefined,
    fruitless: number,
  ): (() => void) | undefined;
  /** Ends what is listened to outside requests. */
  protected abstract endWatch(): void;
  /** Says goodbye, within a bound. */
  protected abstract farewell(): Promise<void>;

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  refuse(status: number, _session: number, isGone: boolean): Error {
    return statusFault(status, isGone, this);
  }

  noteChallenge(status: number, headers: IncomingHttpHeaders): void {
    const header = headers['www-authenticate'];
    if (header !== undefined) this.options.onChallenge?.(status, String(header));
  }

  later(ms: number, task: () => void): () => void {
    const cancel = this.options.schedule(ms, () => {
      this.#timers.delete(cancel);
      task();
    });
    this.#timers.add(cancel);
    return () => {
      this.#timers.delete(cancel);
      cancel();
    };
  }

  forget(exchange: HttpExchange): void {
    const { place } = exchange;
    if (place === -1) return;
    exchange.place = -1;
    const last = this.#exchanges.pop() as HttpExchange;
    if (last === exchange) return;
    last.place = place;
    this.#exchanges[place] = last;
  }

  /** Whether a server has made us say more than it takes in. */
  protected get isFlooded(): boolean {
    return this.#exchanges.length > MOST_EXCHANGES;
  }

  /** Why a call cannot be made; undefined when it can. */
  protected refusalOf({ cancellation }: UpstreamCall): Error | undefined {
    if (this.fault !== undefined) return unsent(this.fault);
    return cancellation?.isCancelled ? unsent(calledOff(cancellation.reason, { where: this.where })) : undefined;
  }

  /** @param common headers of the connection; the list only ever grows. @param extra those of this call */
  protected sendCall({ call, exchange }: HttpCall, common: readonly string[], extra: readonly string[], body: string) {
    this.#remember(exchange);
    const { pool, wire } = this.options;
    if (call.method !== 'initialize' && wire.takesNext()) {
      const head = this.#heads.headOf(this.path, common, extra);
      // What cannot stand in a request is refused by undici.
      if (head !== undefined) {
        wire.dispatch(exchange, head, body);
        return;
      }
    }
    const headers = extra.length === 0 ? (common as string[]) : [...common, ...extra];
    pool.dispatch({ method: 'POST', path: this.path, headers, body }, exchange);
  }

  /** An exchange of which only the status matters. */
  protected send(method: 'POST' | 'DELETE', headers: readonly string[], body: string | null, timeoutMs = SIDE_TIMEOUT) {
    const side = new SideExchange(this, timeoutMs);
    this.#remember(side.exchange);
    this.options.pool.dispatch({ method, path: this.path, headers: headers as string[], body }, side.exchange);
    return side;
  }

  /** A request for a stream that stays. */
  protected openStream(sink: ExchangeSink, method: 'GET' | 'POST', headers: readonly string[], body: string | null) {
    const exchange = new HttpExchange(sink, this.limits, this.where);
    this.startStream(exchange, method, headers, body);
    return exchange;
  }

  protected startStream(
    exchange: HttpExchange,
    method: 'GET' | 'POST',
    headers: readonly string[],
    body: string | null,
  ): void {
    if (this.fault !== undefined) {
      exchange.abort(this.fault);
      return;
    }
    this.#remember(exchange);
    this.options.streamPool.dispatch({ method, path: this.path, headers: headers as string[], body }, exchange);
  }

  /** A message on a stream that belongs to no request. Servers send there what is about one all the same. */
  protected hearOutside(message: Incoming): void {
    if (message.kind === 'notification') this.#hearNotification(message.method, message.params);
    if (message.kind !== 'request') return;
    const call = message.method === 'ping' ? undefined : this.#onlyCall();
    if (call === undefined) this.#hearQuestion(message.id, message.method, message.params);
    else call.hearQuestion(message.id, message.method, message.params);
  }

  /** Calls that are under way. */
  protected *pendingCalls(): Iterable<PendingCall> {
    for (const { sink } of this.#exchanges) if (sink instanceof PendingCall) yield sink;
  }

  /** The call under way that has a client, if there is just one: where nothing says which is meant, none is guessed. */
  #onlyCall(): PendingCall | undefined {
    let only: PendingCall | undefined;
    for (const pending of this.pendingCalls()) {
      if (pending.call.client === undefined || pending.isSettled) continue;
      if (only !== undefined) return undefined;
      only = pending;
    }
    return only;
  }

  #hearNotification(method: string, params: JsonObject): void {
    if (method === 'notifications/progress' || method === 'notifications/cancelled') {
      // Each call knows its own token and its own questions.
      for (const call of [...this.pendingCalls()]) call.hearNotification(method, params);
      return;
    }
    const call = method === 'notifications/message' ? this.#onlyCall() : undefined;
    if (call === undefined) this.events?.notification(method, params);
    else call.hearNotification(method, params);
  }

  #hearQuestion(id: string | number, method: string, params: JsonObject): void {
    const { events } = this;
    if (events === undefined || method === 'ping' || this.#openQuestions >= MOST_OPEN_QUESTIONS) {
      this.post(answerText(id, ownAnswer(method)));
      return;
    }
    this.#openQuestions += 1;
    void events.ask(method, params).then((answer) => {
      this.#openQuestions -= 1;
      this.post(answerText(id, answer));
    });
  }

  #remember(exchange: HttpExchange): void {
    exchange.place = this.#exchanges.push(exchange) - 1;
  }

  async #close(): Promise<void> {
    const isLive = this.fault === undefined;
    this.fault ??= unreachable('The connection was closed', { where: this.where });
    this.endWatch();
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
    for (const exchange of [...this.#exchanges]) exchange.abort(this.fault);
    if (isLive) await this.farewell();
    this.#heads.forget();
    this.#resolveClosed();
  }
}
