import { META } from '../../domain/era.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Schedule } from '../../seams/clock.ts';
import type { UpstreamReply, Watch } from '../../seams/upstream.ts';
import { nextRequestId } from './json-rpc.ts';
import { filterOf, withoutTag } from './listen-filter.ts';
import { reconnectDelay } from './reconnect.ts';
import { protocolFault, timedOut } from './upstream-faults.ts';

/** Milliseconds within which a server must acknowledge. */
const TIMEOUT = 10_000;

export interface StdioListeningOptions {
  readonly wanted: Watch;
  readonly where: string;
  /** Sends `subscriptions/listen` with these members of `params`. */
  readonly send: (id: number, params: string) => void;
  /** Tells the server that a listen request is over. */
  readonly callOff: (id: number) => void;
  readonly onNotification: (method: string, params: JsonObject) => void;
  readonly schedule: Schedule;
  readonly chance: () => number;
}

/** One `subscriptions/listen` on the pipes of a child (2026-07-28): a request that lasts, asked again when the server ends it. */
export class StdioListening {
  /** Resolves when the server has said what it will tell of, or that it will not; rejects when it will not tell of a resource. */
  readonly acknowledged: Promise<void>;
  readonly #options: StdioListeningOptions;
  readonly #params: string;
  #id = 0;
  #isUnderWay = false;
  #isClosed = false;
  #fruitless = 0;
  #cancelTimer: () => void;
  #resolve!: () => void;
  #reject!: (error: Error) => void;

  constructor(options: StdioListeningOptions) {
    this.#options = options;
    this.acknowledged = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#params = `"notifications":${JSON.stringify(filterOf(options.wanted))}`;
    const { where } = options;
    this.#cancelTimer = options.schedule(TIMEOUT, () =>
      this.#giveUp(timedOut('The server does not acknowledge a subscription', { where })),
    );
    this.#send();
  }

  /** Ends it for good. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelTimer();
    this.#resolve();
    if (this.#isUnderWay) this.#options.callOff(this.#id);
  }

  /** @returns whether the reply was to this request */
  hearReply(id: number, reply: UpstreamReply | undefined): boolean {
    if (id !== this.#id) return false;
    this.#isUnderWay = false;
    if (reply !== undefined && 'error' in reply) this.#refused();
    else this.#ended();
    return true;
  }

  /** @param id of the request that the server has cancelled */
  hearCancelled(id: unknown): void {
    if (id !== this.#id) return;
    this.#isUnderWay = false;
    this.#ended();
  }

  /** @returns whether the notification carried the tag of this subscription */
  hear(method: string, params: JsonObject): boolean {
    const meta = params._meta;
    if (this.#isClosed || !isJsonObject(meta) || meta[META.subscriptionId] !== this.#id) return false;
    this.#fruitless = 0;
    if (method === 'notifications/subscriptions/acknowledged') this.#acknowledge(params.notifications);
    else this.#options.onNotification(method, withoutTag(params, meta));
    return true;
  }

  #send(): void {
    this.#id = nextRequestId();
    this.#isUnderWay = true;
    this.#options.send(this.#id, this.#params);
  }

  #acknowledge(honoured: unknown): void {
    const told = isJsonObject(honoured) ? honoured.resourceSubscriptions : undefined;
    const isEach = this.#options.wanted.resources.every((uri) => Array.isArray(told) && told.includes(uri));
    this.#cancelTimer();
    if (isEach) this.#resolve();
    else this.#refused();
  }

  /** The server wants to be asked anew, or is about to stop. */
  #ended(): void {
    if (this.#isClosed) return;
    this.#cancelTimer();
    this.#resolve();
    const { schedule, chance } = this.#options;
    this.#cancelTimer = schedule(reconnectDelay(undefined, this.#fruitless, chance()), () => this.#send());
    this.#fruitless += 1;
  }

  #refused(): void {
    const { wanted, where } = this.#options;
    if (wanted.resources.length === 0) this.close();
    else this.#giveUp(protocolFault('The server does not tell of changes of a resource', { where }));
  }

  #giveUp(error: Error): void {
    this.#reject(error);
    this.close();
  }
}
