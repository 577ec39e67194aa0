import type { Cancellation } from '../../domain/cancellation.ts';
import { MODERN_VERSION } from '../../domain/era.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { UpstreamCall, UpstreamReply, Watch } from '../../seams/upstream.ts';
import { readDiscovered } from './handshake.ts';
import { HttpCall } from './http-call.ts';
import { HttpConnection, type HttpConnectionOptions } from './http-connection.ts';
import type { ExchangeSink, HttpExchange } from './http-exchange.ts';
import { requestHeaders } from './http-headers.ts';
import { modernMeta, notificationText, paramsText, requestText } from './json-rpc.ts';
import type { Introduction } from './legacy-http-connection.ts';
import { Listening } from './listening.ts';

/** Requests of 2026-07-28 over HTTP: no handshake, no session; each carries what there is to know. */
export class ModernHttpConnection extends HttpConnection {
  readonly era = 'modern';
  readonly protocolVersion: string = MODERN_VERSION;
  readonly hasSession = false;
  readonly #introduction: Introduction;
  readonly #headers: readonly string[];
  readonly #meta: string;
  #capabilities: JsonObject = {};
  #listening: Listening | undefined;
  #watching: Promise<void> = Promise.resolve();

  constructor(options: HttpConnectionOptions, introduction: Introduction) {
    super(options);
    this.#introduction = introduction;
    this.#headers = [...options.headers, 'mcp-protocol-version', MODERN_VERSION];
    this.#meta = modernMeta(introduction.clientInfo, introduction.clientCapabilities);
  }

  get capabilities(): JsonObject {
    return this.#capabilities;
  }

  /** Sends `server/discover`. Followed by `agree` with its reply. */
  introduce(timeoutMs: number, cancellation?: Cancellation): HttpCall {
    const call = new HttpCall(this, { method: 'server/discover', params: '', meta: '', timeoutMs, cancellation });
    this.#start(call);
    return call;
  }

  agree(reply: UpstreamReply): void {
    this.#capabilities = readDiscovered(reply, this.where, this.#introduction.redact).capabilities;
  }

  request(call: UpstreamCall): Promise<UpstreamReply> {
    const refusal = this.refusalOf(call);
    if (refusal !== undefined) return Promise.reject(refusal);
    const pending = new HttpCall(this, call);
    this.#start(pending);
    return pending.reply;
  }

  notify(method: string, params: string): void {
    if (this.fault !== undefined) return;
    const members = paramsText({ params, meta: '' }, this.#meta).slice(1, -1);
    this.send('POST', [...this.#headers, ...requestHeaders({ method })], notificationText(method, members));
  }

  watch(wanted: Watch): Promise<void> {
    this.#watching = this.#watching.catch(() => {}).then(() => this.#watch(wanted));
    return this.#watching;
  }

  /** Nothing is answered, and cancelled by closing the stream, in this era. */
  post(): void {}

  keepSession(): undefined {}

  resume(): undefined {}

  protected override endWatch(): void {
    this.#listening?.close();
    this.#listening = undefined;
  }

  protected override farewell(): Promise<void> {
    return Promise.resolve();
  }

  #start(pending: HttpCall): void {
    const { call } = pending;
    const body = requestText(pending.id, call.method, paramsText(call, this.#meta));
    this.sendCall(pending, this.#headers, requestHeaders(call), body);
  }

  async #watch(wanted: Watch): Promise<void> {
    const before = this.#listening;
    this.#listening = undefined;
    if (this.fault === undefined && (wanted.lists || wanted.resources.length > 0)) {
      this.#listening = new Listening({
        wanted,
        where: this.where,
        open: (sink, id, params) => this.#listen(sink, id, params),
        onNotification: (method, params) => this.events?.notification(method, params),
        schedule: (ms, task) => this.later(ms, task),
        chance: this.options.chance,
      });
    }
    try {
      await this.#listening?.acknowledged;
    } finally {
      // Only now, so that nothing is missed between the two.
      before?.close();
    }
  }

  #listen(sink: ExchangeSink, id: number, params: string): HttpExchange {
    const method = 'subscriptions/listen';
    const body = requestText(id, method, paramsText({ params, meta: '' }, this.#meta));
    return this.openStream(sink, 'POST', [...this.#headers, ...requestHeaders({ method })], body);
  }
}
