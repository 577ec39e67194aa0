import type { Cancellation } from '../../domain/cancellation.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { UpstreamCall, UpstreamReply, Watch } from '../../seams/upstream.ts';
import { type Agreement, INITIALIZED, initializeParams, readInitialized } from './handshake.ts';
import { HttpConnection, type HttpConnectionOptions } from './http-connection.ts';
import type { ExchangeSink, HttpExchange } from './http-exchange.ts';
import { statusFault, transportFault } from './http-faults.ts';
import { streamHeaders } from './http-headers.ts';
import { cancellationText, type Incoming, notificationText, paramsText, readMessage, requestText } from './json-rpc.ts';
import type { Introduction } from './legacy-http-connection.ts';
import { hearPlainly, PendingCall } from './pending-call.ts';
import { Subscriptions } from './subscriptions.ts';
import { protocolFault, timedOut, unreachable } from './upstream-faults.ts';

/** One request, posted to where the server said; its reply comes on the connection's stream. */
class SseCall extends PendingCall {
  post: HttpExchange | undefined;
  onOver: () => void = () => {};

  protected override get wasSent(): boolean {
    return this.post?.isDispatched === true;
  }

  protected override stop(error: Error, reason: 'timeout' | 'cancelled' | undefined): void {
    if (!this.wasSent) this.post?.abort(error);
    else if (reason !== undefined && this.call.method !== 'initialize')
      this.host.post(cancellationText(this.id, reason));
  }

  override finish(): void {
    super.finish();
    this.onOver();
  }
}

/**
 * One session over HTTP+SSE (2024-11-05). It lives as long as its stream. The revision ties nothing that a server says to a request, so
 * what is said goes to the only call under way that has a client, if there is just one.
 */
export class SseConnection extends HttpConnection implements ExchangeSink {
  readonly era = 'legacy';
  readonly hasSession = false;
  readonly #origin: string;
  readonly #base: URL;
  readonly #introduction: Introduction;
  readonly #subscriptions = new Subscriptions(this);
  readonly #pending = new Map<number, SseCall>();
  #agreement: Agreement = { version: '', capabilities: {} };
  #headers: readonly string[];
  #stream: HttpExchange | undefined;
  #logLevel: string | undefined;
  #onEndpoint: (fault?: Error) => void = () => {};
  #watching: Promise<void> = Promise.resolve();

  constructor(options: HttpConnectionOptions, url: URL, introduction: Introduction) {
    super(options);
    this.#base = url;
    this.#origin = url.origin;
    this.#introduction = introduction;
    this.#headers = options.headers;
  }

  get protocolVersion(): string {
    return this.#agreement.version;
  }

  get capabilities(): JsonObject {
    return this.#agreement.capabilities;
  }

  async open(timeoutMs: number, cancellation: Cancellation | undefined): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const cancelTimer = this.later(timeoutMs, () =>
        this.#onEndpoint(timedOut(`No endpoint within ${timeoutMs} ms`, { where: this.where })),
      );
      this.#onEndpoint = (fault) => {
        cancelTimer();
        if (fault === undefined) resolve();
        else reject(fault);
      };
      this.#stream = this.openStream(this, 'GET', streamHeaders(this.#headers), null);
    });
    const { clientInfo, clientCapabilities, redact } = this.#introduction;
    const params = initializeParams(clientInfo, clientCapabilities);
    const reply = await this.request({ method: 'initialize', params, meta: '', timeoutMs, cancellation });
    this.#agreement = readInitialized(reply, this.where, redact);
    this.#headers = [...this.#headers, 'mcp-protocol-version', this.#agreement.version];
    await this.send('POST', this.#headers, INITIALIZED, timeoutMs).taken;
  }

  request(call: UpstreamCall): Promise<UpstreamReply> {
    const refusal = this.refusalOf(call);
    if (refusal !== undefined) return Promise.reject(refusal);
    const pending = new SseCall(this, call);
    this.#pending.set(pending.id, pending);
    pending.onOver = () => this.#pending.delete(pending.id);
    const { logLevel } = call;
    if (logLevel === undefined || logLevel === this.#logLevel || this.capabilities.logging === undefined)
      this.#start(pending);
    else void this.#setLevel(logLevel, call.timeoutMs).then(() => this.#start(pending));
    return pending.reply;
  }

  notify(method: string, params: string): void {
    this.post(notificationText(method, params));
  }

  post(text: string): void {
    if (this.fault === undefined && !this.isFlooded) this.send('POST', this.#headers, text);
  }

  watch({ resources }: Watch): Promise<void> {
    this.#watching = this.#watching.catch(() => {}).then(() => this.#subscriptions.set(resources));
    return this.#watching;
  }

  keepSession(): undefined {}

  resume(): undefined {}

  onEvent(type: string, data: string): void {
    if (type !== 'endpoint') return;
    const url = URL.canParse(data, this.#base.href) ? new URL(data, this.#base) : undefined;
    // Anywhere else, the credential would go to somebody else.
    if (url?.origin !== this.#origin || url.username !== '' || url.password !== '')
      this.#end(protocolFault('The connector names an endpoint that is not its own', { where: this.where }));
    else {
      this.path = `${url.pathname}${url.search}`;
      this.#onEndpoint();
    }
  }

  onMessage(data: string): void {
    if (!hearPlainly(this.#pending.values(), data)) this.#hear(readMessage(data));
  }

  onBody(status: number): void {
    if (status >= 300) this.#end(statusFault(status, false, this));
    else this.#end(protocolFault('The connector answers with no event stream', { where: this.where }));
  }

  onStreamEnd(): void {
    this.#end(unreachable('The connector ended its stream', { where: this.where }));
  }

  onFault(error: Error): void {
    this.#end(transportFault(error, this));
  }

  protected override pendingCalls(): Iterable<PendingCall> {
    return this.#pending.values();
  }

  protected override endWatch(): void {
    const fault = this.fault as Error;
    this.#onEndpoint(fault);
    for (const pending of [...this.#pending.values()]) pending.breakOff(fault);
    this.#stream?.abort(fault);
  }

  protected override farewell(): Promise<void> {
    return Promise.resolve();
  }

  #start(pending: SseCall): void {
    if (pending.isSettled) return;
    const { call } = pending;
    const side = this.send(
      'POST',
      this.#headers,
      requestText(pending.id, call.method, paramsText(call, '')),
      call.timeoutMs,
    );
    pending.post = side.exchange;
    side.taken.catch((error: unknown) => pending.breakOff(error as Error));
  }

  async #setLevel(logLevel: string, timeoutMs: number): Promise<void> {
    this.#logLevel = logLevel;
    const params = `"level":${JSON.stringify(logLevel)}`;
    await this.request({ method: 'logging/setLevel', params, meta: '', timeoutMs }).catch(() => {});
  }

  #hear(message: Incoming): void {
    switch (message.kind) {
      case 'reply':
      case 'malformed_reply':
        // An id that is not pending belongs to a request given up before.
        this.#pending.get(message.id)?.hear(message);
        return;
      case 'notification':
      case 'request':
        this.hearOutside(message);
        return;
      case 'garbage':
        this.#end(protocolFault('The connector sent an event that is not JSON-RPC', { where: this.where }));
    }
  }

  #end(fault: Error): void {
    this.fault ??= fault;
    void this.close();
  }
}
