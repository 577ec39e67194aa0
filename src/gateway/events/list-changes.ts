import { messageOf } from '../../domain/errors.ts';
import type { ConnectorId } from '../../domain/ids.ts';
import type { Clock, Log, Schedule } from '../../seams/clock.ts';
import type { ListKind } from './hub.ts';

export interface ListChangesOptions {
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly log: Log;
  /** Lists the connector anew; then calls `Hub.listChanged`. */
  readonly onListChanged: (connector: ConnectorId, kind: ListKind) => void | Promise<void>;
}

/** Servers announce several changes at once. */
const DEBOUNCE_MS = 250;
/** A server that floods announcements costs, after the first few, one listing in this time. */
const LEAST_INTERVAL_MS = 5_000;
/** Listings that may follow one another at once, so that a few true changes are told without delay. */
const BURST = 4;

interface Pending {
  readonly kinds: Set<ListKind>;
  cancel: (() => void) | undefined;
  isListing: boolean;
  /** Listings of the present burst, and when the last of them began. */
  listings: number;
  listedAt: number;
}

/** Announcements of changed lists, as few listings as they call for; bounded by the number of connectors (guarantee I3). */
export function createListChanges(options: ListChangesOptions) {
  const { clock, schedule, log, onListChanged } = options;
  const connectors = new Map<ConnectorId, Pending>();

  function arrange(connector: ConnectorId, pending: Pending): void {
    if (pending.cancel !== undefined || pending.isListing || pending.kinds.size === 0) return;
    const isSettled = clock() - pending.listedAt >= BURST * LEAST_INTERVAL_MS;
    if (isSettled) pending.listings = 0;
    const rest = pending.listings < BURST ? 0 : pending.listedAt + LEAST_INTERVAL_MS - clock();
    const wait = Math.min(LEAST_INTERVAL_MS, rest);
    pending.cancel = schedule(Math.max(DEBOUNCE_MS, wait), () => {
      pending.cancel = undefined;
      void list(connector, pending);
    });
  }

  async function list(connector: ConnectorId, pending: Pending): Promise<void> {
    const kinds = [...pending.kinds];
    pending.kinds.clear();
    pending.isListing = true;
    pending.listings += 1;
    pending.listedAt = clock();
    for (const kind of kinds) {
      try {
        await onListChanged(connector, kind);
      } catch (error) {
        log.warn({ connector, kind, error: messageOf(error) }, 'a changed list could not be read');
      }
    }
    pending.isListing = false;
    // What was announced meanwhile may not be in what was read.
    arrange(connector, pending);
  }

  return {
    announced(connector: ConnectorId, kind: ListKind): void {
      let pending = connectors.get(connector);
      if (pending === undefined) {
        pending = {
          kinds: new Set(),
          cancel: undefined,
          isListing: false,
          listings: 0,
          listedAt: Number.NEGATIVE_INFINITY,
        };
        connectors.set(connector, pending);
      }
      pending.kinds.add(kind);
      arrange(connector, pending);
    },
    close(): void {
      for (const pending of connectors.values()) pending.cancel?.();
      connectors.clear();
    },
  };
}
