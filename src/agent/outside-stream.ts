import { setTimeout as sleep } from 'node:timers/promises';
import { type GatewayResponse, isEventStream } from './gateway-link.ts';
import type { LegacySession } from './legacy-session.ts';
import { readEvents } from './read-events.ts';

/** Milliseconds. */
const FIRST_DELAY = 1_000;
const LONGEST_DELAY = 30_000;

export interface OutsideStreamOptions {
  readonly connect: (headers: Record<string, string>, signal: AbortSignal) => Promise<GatewayResponse>;
  readonly session: LegacySession;
  readonly onMessage: (data: string) => Promise<void>;
  /** Characters of one event. */
  readonly longest: number;
}

/** What the gateway says outside requests (≤ 2025-11-25): a GET stream where it offers one, opened again when it ends. */
export class OutsideStream {
  readonly #options: OutsideStreamOptions;
  #ending: AbortController | undefined;
  #isClosed = false;

  constructor(options: OutsideStreamOptions) {
    this.#options = options;
  }

  /** Opens it for the session of now; one that was open is ended. */
  open(): void {
    this.#ending?.abort();
    if (this.#isClosed) return;
    this.#ending = new AbortController();
    // Ends by itself: aborted, or where the gateway offers none.
    void this.#keep(this.#ending.signal).catch(() => {});
  }

  close(): void {
    this.#isClosed = true;
    this.#ending?.abort();
  }

  async #keep(signal: AbortSignal): Promise<void> {
    let lastEventId: string | undefined;
    let base = FIRST_DELAY;
    for (let fruitless = 0; !signal.aborted; fruitless += 1) {
      const { session, connect, onMessage, longest } = this.#options;
      const { number } = session;
      const headers = { ...session.headers, ...(lastEventId !== undefined && { 'last-event-id': lastEventId }) };
      const response = await connect(headers, signal).catch(() => undefined);
      if (response?.statusCode === 404 && session.hasId) {
        // The gateway has forgotten the session. A new one opens this stream anew; there is nothing to tell the client.
        await response.body.dump();
        await session.reopen(number).catch(() => {});
        if (session.number !== number) return;
      } else if (response !== undefined && (response.statusCode !== 200 || !isEventStream(response))) {
        await response.body.dump();
        const mayComeBack = [401, 408, 429].includes(response.statusCode) || response.statusCode >= 500;
        if (!mayComeBack) return; // 405: it offers none
      } else if (response !== undefined) {
        try {
          for await (const event of readEvents(response.body, longest)) {
            if (event.id !== undefined) lastEventId = event.id;
            base = Math.max(event.retry ?? base, 100);
            if (event.data === '') continue;
            fruitless = 0;
            await onMessage(event.data);
          }
        } catch {
          // It broke: the next one goes on behind the last event.
        }
      }
      const delay = Math.max(base, Math.min(base * 2 ** Math.min(fruitless, 16), LONGEST_DELAY));
      await sleep(delay * (1 + Math.random() / 5), undefined, { signal });
    }
  }
}
