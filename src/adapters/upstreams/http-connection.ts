import type { IncomingHttpHeaders } from 'node:http';
import type { Pool } from 'undici';
import type { Schedule } from '../../seams/clock.ts';
import type { Upstream, UpstreamReply } from '../../seams/upstream.ts';
import { type CallHost, type CallOptions, HttpCall } from './http-call.ts';
import { HttpExchange } from './http-exchange.ts';
import { isSessionGone, statusFault, transportFault } from './http-faults.ts';
import { isUsableSessionId } from './http-headers.ts';
import { abortFault, protocolFault, timedOut, unreachable } from './upstream-faults.ts';

/** Deadlines of what no caller waits for. */
const SIDE_TIMEOUT_MS = 5_000;
const DELETE_TIMEOUT_MS = 2_000;

export interface HttpConnectionOptions {
  readonly pool: Pool;
  /** Path with query. */
  readonly path: string;
  /** Flat list of names and values; holds the injected credential. */
  readonly headers: readonly string[];
  readonly hasCredential: boolean;
  readonly schedule: Schedule;
  readonly maxReplyBytes: number;
  /** What the operator knows the connector by. */
  readonly where: string;
}

/** One session over Streamable HTTP (MCP basic/transports), held by one task. Only sockets are shared, by the pool. */
export class HttpConnection implements Upstream, CallHost {
  readonly pid = undefined;
  readonly closed: Promise<void>;
  readonly where: string;
  readonly hasCredential: boolean;
  readonly schedule: Schedule;
  readonly maxReplyBytes: number;
  readonly #pool: Pool;
  readonly #path: string;
  readonly #exchanges = new Set<HttpExchange>();
  #headers: string[];
  #hasSession = false;
  #fault: Error | undefined;
  #closing: Promise<void> | undefined;
  #resolveClosed = (): void => {};

  constructor(options: HttpConnectionOptions) {
    this.#pool = options.pool;
    this.#path = options.path;
    this.#headers = [...options.headers];
    this.hasCredential = options.hasCredential;
    this.schedule = options.schedule;
    this.maxReplyBytes = options.maxReplyBytes;
    this.where = options.where;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  get hasSession(): boolean {
    return this.#hasSession;
  }

  request(method: string, params: string, options: CallOptions): Promise<UpstreamReply> {
    if (this.#fault !== undefined) return Promise.reject(this.#fault);
    if (options.signal?.aborted) return Promise.reject(abortFault(options.signal));
    const call = new HttpCall(this, method, params, options);
    this.#dispatch('POST', call.exchange, call.body);
    return call.reply;
  }

  /** From here on each request names the revision that the handshake agreed on. */
  useVersion(version: string): void {
    this.#headers.push('mcp-protocol-version', version);
  }

  /** Sends a notification and waits until the server has taken it. */
  notify(text: string, timeoutMs: number): Promise<void> {
    return this.#send('POST', text, timeoutMs);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  post(text: string): void {
    if (this.#fault === undefined) this.#send('POST', text, SIDE_TIMEOUT_MS).catch(() => {});
  }

  refuse(status: number): Error {
    const fault = statusFault(status, this.#hasSession, this);
    if (isSessionGone(status, this.#hasSession)) {
      // Not opened again here: that would replay a call, or run it in a session without its state (guarantee I2).
      this.#end(fault);
      this.#resolveClosed();
    }
    return fault;
  }

  keepSession(headers: IncomingHttpHeaders): Error | undefined {
    const value = headers['mcp-session-id'];
    if (value === undefined) return undefined;
    if (!isUsableSessionId(value))
      return protocolFault('The connector gave an unusable session id', { where: this.where });
    this.#headers.push('mcp-session-id', value);
    this.#hasSession = true;
    return undefined;
  }

  forget(exchange: HttpExchange): void {
    this.#exchanges.delete(exchange);
  }

  async #close(): Promise<void> {
    const isSessionLive = this.#hasSession && this.#fault === undefined;
    this.#end(unreachable('The connection was closed', { where: this.where }));
    // Best effort: a server may refuse with 405, and its own idle timeout is the second line.
    if (isSessionLive) await this.#send('DELETE', null, DELETE_TIMEOUT_MS).catch(() => {});
    this.#headers = [];
    this.#resolveClosed();
  }

  #end(error: Error): void {
    this.#fault ??= error;
    for (const exchange of [...this.#exchanges]) exchange.abort(this.#fault);
  }

  #dispatch(method: 'POST' | 'DELETE', exchange: HttpExchange, body: string | null): void {
    this.#exchanges.add(exchange);
    this.#pool.dispatch({ method, path: this.#path, headers: this.#headers, body }, exchange);
  }

  /** An exchange of which only the status matters. */
  #send(method: 'POST' | 'DELETE', body: string | null, timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (fault?: Error): void => {
        cancelTimer();
        this.forget(exchange);
        if (fault === undefined) resolve();
        else reject(fault);
      };
      const exchange = new HttpExchange(
        {
          onBody: (status) => finish(status < 300 ? undefined : this.refuse(status)),
          onStreamEnd: () => finish(),
          onFault: (error) => finish(transportFault(error, this)),
        },
        this.maxReplyBytes,
        this.where,
      );
      const cancelTimer = this.schedule(timeoutMs, () => {
        exchange.abort(timedOut(`No response within ${timeoutMs} ms`, { where: this.where }));
      });
      this.#dispatch(method, exchange, body);
    });
  }
}
