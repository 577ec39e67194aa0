import type { IncomingHttpHeaders } from 'node:http';
import type { Cancellation } from '../../domain/cancellation.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { UpstreamCall, UpstreamReply, Watch } from '../../seams/upstream.ts';
import { type Agreement, type ClientInfo, INITIALIZED, initializeParams, readInitialized } from './handshake.ts';
import { HttpCall } from './http-call.ts';
import { HttpConnection, type HttpConnectionOptions } from './http-connection.ts';
import type { ExchangeSink, HttpExchange } from './http-exchange.ts';
import { isPassing } from './http-faults.ts';
import { isUsableSessionId, streamHeaders } from './http-headers.ts';
import { notificationText, paramsText, readMessage, requestText } from './json-rpc.ts';
import { HeldStream, reconnectDelay } from './reconnect.ts';
import type { Redact } from './redaction.ts';
import { Subscriptions } from './subscriptions.ts';
import { protocolFault } from './upstream-faults.ts';

/** Milliseconds. */
const REOPEN_TIMEOUT = 10_000;
const DELETE_TIMEOUT = 2_000;
const NO_HEADERS: readonly string[] = [];

export interface Introduction {
  readonly clientInfo: ClientInfo;
  readonly clientCapabilities: JsonObject;
  readonly redact: Redact;
}

/** One session over Streamable HTTP (MCP basic/transports, 2025-03-26 … 2025-11-25). */
export class LegacyHttpConnection extends HttpConnection {
  readonly era = 'legacy';
  readonly #introduction: Introduction;
  readonly #subscriptions = new Subscriptions(this);
  #agreement: Agreement = { version: '', capabilities: {} };
  #headers: string[] = [];
  #hasSession = false;
  /** Counts sessions, so that a late word about an old one does not end the new one. */
  #session = 0;
  #isGone = false;
  #reopening: Promise<void> | undefined;
  #logLevel: string | undefined;
  #wanted: Watch = { lists: false, resources: [] };
  #watching: Promise<void> = Promise.resolve();
  #stream: HeldStream | undefined;

  constructor(options: HttpConnectionOptions, introduction: Introduction) {
    super(options);
    this.#introduction = introduction;
  }

  get protocolVersion(): string {
    return this.#agreement.version;
  }

  get capabilities(): JsonObject {
    return this.#agreement.capabilities;
  }

  get hasSession(): boolean {
    return this.#hasSession;
  }

  /** Sends `initialize`. Followed by `agree` with its reply. */
  introduce(timeoutMs: number, cancellation?: Cancellation): HttpCall {
    this.#headers = [...this.options.headers];
    this.#hasSession = false;
    const { clientInfo, clientCapabilities } = this.#introduction;
    const params = initializeParams(clientInfo, clientCapabilities);
    const call = new HttpCall(this, { method: 'initialize', params, meta: '', timeoutMs, cancellation });
    this.#start(call);
    return call;
  }

  /** From here on each request names the revision that was agreed on. Resolves when the server knows that it was. */
  async agree(reply: UpstreamReply, timeoutMs: number): Promise<void> {
    this.#agreement = readInitialized(reply, this.where, this.#introduction.redact);
    this.#headers.push('mcp-protocol-version', this.#agreement.version);
    await this.#side(INITIALIZED, timeoutMs);
    if (!this.#mayAsk) return;
    this.#stream = this.#openStream();
    await this.#stream.answered;
  }

  /** Servers commonly ask on the GET stream what belongs to a request, so one that may ask is listened to from the start. */
  get #mayAsk(): boolean {
    return Object.keys(this.#introduction.clientCapabilities).length > 0;
  }

  request(call: UpstreamCall): Promise<UpstreamReply> {
    const refusal = this.refusalOf(call);
    if (refusal !== undefined) return Promise.reject(refusal);
    const pending = new HttpCall(this, call);
    if (this.#isGone || this.#reopening !== undefined || this.#isLevelNew(call)) this.#startLater(pending);
    else this.#start(pending);
    return pending.reply;
  }

  notify(method: string, params: string): void {
    this.post(notificationText(method, params));
  }

  post(text: string): void {
    if (this.fault === undefined && !this.isFlooded) void this.#side(text).catch(() => {});
  }

  watch(wanted: Watch): Promise<void> {
    this.#wanted = wanted;
    this.#watching = this.#watching.catch(() => {}).then(() => this.#watch());
    return this.#watching;
  }

  override refuse(status: number, session: number, isGone: boolean): Error {
    // The call is not repeated in a new session: it may have been carried out in the old one (guarantee I2).
    if (isGone && session === this.#session) this.#isGone = true;
    return super.refuse(status, session, isGone);
  }

  keepSession(headers: IncomingHttpHeaders): Error | undefined {
    this.#session += 1;
    const value = headers['mcp-session-id'];
    if (value === undefined) return undefined;
    if (!isUsableSessionId(value))
      return protocolFault('The connector gave an unusable session id', { where: this.where });
    this.#headers.push('mcp-session-id', value);
    this.#hasSession = true;
    return undefined;
  }

  resume(exchange: HttpExchange, lastEventId: string, retryMs: number | undefined, fruitless: number): () => void {
    return this.later(reconnectDelay(retryMs, fruitless, this.options.chance()), () =>
      this.startStream(exchange, 'GET', streamHeaders(this.#headers, lastEventId), null),
    );
  }

  protected override endWatch(): void {
    this.#stream?.close();
    this.#stream = undefined;
  }

  protected override async farewell(): Promise<void> {
    // Best effort: a server may refuse with 405, and its own idle timeout is the second line.
    if (this.#hasSession && !this.#isGone)
      await this.send('DELETE', this.#headers, null, DELETE_TIMEOUT).taken.catch(() => {});
    this.#headers = [];
  }

  #start(pending: HttpCall): void {
    if (pending.isSettled) return; // given up meanwhile
    pending.session = this.#session;
    const { call } = pending;
    this.sendCall(pending, this.#headers, NO_HEADERS, requestText(pending.id, call.method, paramsText(call, '')));
  }

  #startLater(pending: HttpCall): void {
    const ready = async (): Promise<void> => {
      if (this.#isGone || this.#reopening !== undefined) await this.#reopen();
      if (this.#isLevelNew(pending.call)) await this.#setLevel(pending.call);
      if (this.fault !== undefined) throw this.fault;
      this.#start(pending);
    };
    ready().catch((error: unknown) => pending.breakOff(error as Error));
  }

  #side(text: string, timeoutMs?: number): Promise<void> {
    const side = this.send('POST', this.#headers, text, timeoutMs);
    side.session = this.#session;
    return side.taken;
  }

  /** Opens a session again, once for all who wait for it (fault 13). */
  #reopen(): Promise<void> {
    this.#reopening ??= this.#openAgain().finally(() => {
      this.#reopening = undefined;
    });
    return this.#reopening;
  }

  async #openAgain(): Promise<void> {
    this.endWatch();
    const reply = await this.introduce(REOPEN_TIMEOUT).reply;
    await this.agree(reply, REOPEN_TIMEOUT);
    this.#isGone = false;
    this.#logLevel = undefined;
    this.#subscriptions.forget();
    void this.watch(this.#wanted).catch(() => {});
  }

  #isLevelNew({ logLevel }: UpstreamCall): boolean {
    return logLevel !== undefined && logLevel !== this.#logLevel && this.capabilities.logging !== undefined;
  }

  async #setLevel({ logLevel, timeoutMs }: UpstreamCall): Promise<void> {
    this.#logLevel = logLevel;
    const params = `"level":${JSON.stringify(logLevel)}`;
    const call = new HttpCall(this, { method: 'logging/setLevel', params, meta: '', timeoutMs });
    this.#start(call);
    await call.reply.catch(() => {}); // a server that keeps its level to itself is of use nevertheless
  }

  async #watch(): Promise<void> {
    const { lists, resources } = this.#wanted;
    if (!lists && resources.length === 0 && !this.#mayAsk) this.endWatch();
    else if (this.fault === undefined) {
      this.#stream ??= this.#openStream();
      await this.#stream.answered;
    }
    await this.#subscriptions.set(resources);
  }

  #openStream(): HeldStream {
    return new HeldStream({
      connect: (sink: ExchangeSink, lastEventId) =>
        this.openStream(sink, 'GET', streamHeaders(this.#headers, lastEventId), null),
      onMessage: (data) => this.hearOutside(readMessage(data)),
      onRefused: (status) => this.#onStreamRefused(status),
      schedule: (ms, task) => this.later(ms, task),
      chance: this.options.chance,
    });
  }

  #onStreamRefused(status: number): 'retry' | undefined {
    if (status === 404 && this.#hasSession) {
      // Only a new session can be listened to; it brings a stream of its own.
      this.#isGone = true;
      this.later(reconnectDelay(undefined, 0, this.options.chance()), () => {
        if (this.#isGone) void this.#reopen().catch(() => {});
      });
      return undefined;
    }
    return isPassing(status) ? 'retry' : undefined;
  }
}
