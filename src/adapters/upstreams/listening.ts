import { META } from '../../domain/era.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Schedule } from '../../seams/clock.ts';
import type { Watch } from '../../seams/upstream.ts';
import type { ExchangeSink, HttpExchange } from './http-exchange.ts';
import { isPassing } from './http-faults.ts';
import { type Incoming, nextRequestId, readMessage } from './json-rpc.ts';
import { filterOf, withoutTag } from './listen-filter.ts';
import { HeldStream } from './reconnect.ts';
import { protocolFault, timedOut } from './upstream-faults.ts';

/** Milliseconds within which a server must acknowledge. */
const TIMEOUT = 10_000;

export interface ListeningOptions {
  readonly wanted: Watch;
  readonly where: string;
  /** Sends `subscriptions/listen` with these members of `params`. */
  readonly open: (sink: ExchangeSink, id: number, params: string) => HttpExchange;
  readonly onNotification: (method: string, params: JsonObject) => void;
  readonly schedule: Schedule;
  readonly chance: () => number;
}

/** What a server tells outside requests in the modern era: one `subscriptions/listen`, sent again when its stream ends. */
export class Listening {
  /**
   * Resolves when the server has said what it will tell of, or that it will not; rejects when it will not tell of a resource.
   */
  readonly acknowledged: Promise<void>;
  readonly #options: ListeningOptions;
  readonly #stream: HeldStream;
  readonly #cancelTimeout: () => void;
  #id = 0;
  #resolve!: () => void;
  #reject!: (error: Error) => void;

  constructor(options: ListeningOptions) {
    this.#options = options;
    this.acknowledged = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#cancelTimeout = options.schedule(TIMEOUT, () =>
      this.#giveUp(timedOut('The server does not acknowledge a subscription', { where: options.where })),
    );
    const params = `"notifications":${JSON.stringify(filterOf(options.wanted))}`;
    this.#stream = new HeldStream({
      // Each attempt is a request of its own, under an id of its own, which tags what it brings.
      connect: (sink) => {
        this.#id = nextRequestId();
        return options.open(sink, this.#id, params);
      },
      onMessage: (data) => this.#hear(readMessage(data)),
      onRefused: (status, body) => this.#onRefused(status, body),
      schedule: options.schedule,
      chance: options.chance,
    });
  }

  close(): void {
    this.#cancelTimeout();
    this.#resolve();
    this.#stream.close();
  }

  #hear(message: Incoming): void {
    if (message.kind === 'reply' && message.id === this.#id && 'error' in message.reply) this.#refused();
    if (message.kind !== 'notification') return;
    const meta = message.params._meta;
    if (!isJsonObject(meta) || meta[META.subscriptionId] !== this.#id) return; // of no subscription of ours
    if (message.method === 'notifications/subscriptions/acknowledged') this.#acknowledge(message.params.notifications);
    else this.#options.onNotification(message.method, withoutTag(message.params, meta));
  }

  #acknowledge(honoured: unknown): void {
    const { resources } = this.#options.wanted;
    const told = isJsonObject(honoured) ? honoured.resourceSubscriptions : undefined;
    const isEach = resources.every((uri) => Array.isArray(told) && told.includes(uri));
    if (!isEach) this.#refused();
    else if (!isJsonObject(honoured) || Object.keys(honoured).length === 0) this.close(); // there is nothing to wait for
    this.#cancelTimeout();
    this.#resolve();
  }

  /** What a server answers instead of a stream. */
  #onRefused(status: number, body: string): 'retry' | undefined {
    if (isPassing(status)) return 'retry';
    const message = readMessage(body);
    if (message.kind === 'reply' && 'result' in message.reply) this.close();
    else this.#refused();
    return undefined;
  }

  #refused(): void {
    const { where, wanted } = this.#options;
    if (wanted.resources.length === 0) this.close();
    else this.#giveUp(protocolFault('The server does not tell of changes of a resource', { where }));
  }

  #giveUp(error: Error): void {
    this.#reject(error);
    this.close();
  }
}
