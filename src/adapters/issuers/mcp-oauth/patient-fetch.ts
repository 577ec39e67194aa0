import type { Schedule } from '../../../seams/clock.ts';
import type { Fetch } from '../oauth-client.ts';

/** After a process was stopped (SIGSTOP, a host that slept), its timers run before what has arrived meanwhile is read: this long for reading it. */
const READ_MS = 500;

/**
 * A request that ends `ms` after it was begun, but not before what has arrived is read: of a refresh, that may be the only token that is still
 * good.
 */
export function patientFetch(fetch: Fetch, schedule: Schedule, ms: number): Fetch {
  return async (address, init) => {
    const deadline = new AbortController();
    let cancel = schedule(ms, () => {
      cancel = schedule(READ_MS, () => deadline.abort(new Error(`no answer within ${ms} ms`)));
    });
    try {
      const response = await fetch(address, { ...init, signal: deadline.signal });
      // A body is read within it, too; those that `fetch` has read whole are at hand.
      const body = await response.arrayBuffer();
      const isBare = response.status === 204 || response.status === 304;
      return new Response(isBare ? null : body, { status: response.status, headers: response.headers });
    } finally {
      cancel();
    }
  };
}
