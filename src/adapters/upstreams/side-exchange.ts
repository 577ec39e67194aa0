import type { Timed } from './deadlines.ts';
import type { HttpCallHost } from './http-call.ts';
import { type ExchangeSink, HttpExchange } from './http-exchange.ts';
import { isSessionGone, transportFault } from './http-faults.ts';
import { timedOut } from './upstream-faults.ts';

/** An exchange of which only the status matters: a notification, an answer, the end of a session. */
export class SideExchange implements ExchangeSink, Timed {
  readonly exchange: HttpExchange;
  /** Resolves when the server has taken it. */
  readonly taken: Promise<void>;
  session = 0;
  deadlineIndex = -1;
  deadlineTicks = 0;
  readonly #host: HttpCallHost;
  readonly #timeoutMs: number;
  #resolve!: () => void;
  #reject!: (error: Error) => void;

  constructor(host: HttpCallHost, timeoutMs: number) {
    this.#host = host;
    this.#timeoutMs = timeoutMs;
    this.exchange = new HttpExchange(this, host.limits, host.where);
    this.taken = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Most are best effort: nobody waits.
    this.taken.catch(() => {});
    host.deadlines.start(this, timeoutMs);
  }

  onDeadline(): void {
    this.exchange.abort(timedOut(`No response within ${this.#timeoutMs} ms`, { where: this.#host.where }));
  }

  onBody(status: number): void {
    if (status < 300) this.#finish();
    else this.#finish(this.#host.refuse(status, this.session, isSessionGone(status, this.#host.hasSession)));
  }

  onStreamEnd(): void {
    this.#finish();
  }

  onFault(error: Error): void {
    this.#finish(transportFault(error, this.#host));
  }

  #finish(fault?: Error): void {
    this.#host.deadlines.stop(this);
    this.#host.forget(this.exchange);
    if (fault === undefined) this.#resolve();
    else this.#reject(fault);
  }
}
