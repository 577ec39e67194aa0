import { type FlowLabels, joinLabels, NO_LABELS } from '../domain/flow.ts';
import type { ConnectorId, TenantId } from '../domain/ids.ts';
import { isAnother, namesText, type StoredMark, type ThingNames } from '../domain/stored-mark.ts';
import type { Clock } from '../seams/clock.ts';
import type { StoredMarkRepository } from '../seams/store.ts';

/** Labels that stick to what tasks have stored, for whoever reads it. */
export interface StoredLabels {
  /**
   * What is about to be stored carries these labels from now on.
   * @returns when that is durable, rejected where it cannot be: nothing may be stored then. Undefined: it is already
   */
  mark(connector: ConnectorId, names: ThingNames | undefined, labels: FlowLabels): Promise<void> | undefined;
  /** Worst labels of what a read may bring, by what it names. */
  labelsOf(connector: ConnectorId, names: ThingNames | undefined): FlowLabels;
  /** Reads what other gateways on the same store have marked lately. @throws `ERR_STORE_*` */
  refresh(): Promise<void>;
  /** Keyed: names are kept as these, never as they are. */
  readonly fingerprint: (text: string) => string;
  /** Marks that are kept. */
  readonly size: number;
}

/** Things of one connector that are told apart (guarantee I3). With more, any write counts for the connector as a whole. */
export const MAX_THINGS = 1_000;

/** Marks are read again from so long before the newest that was read: clocks differ, and a commit takes its time. */
const OVERLAP_MS = 60_000;

/** A mark is made durable anew, for its time to begin anew, when this part of it is over. */
const RENEW = 0.1;

interface Kept extends Omit<StoredMark, 'labels' | 'at'> {
  labels: FlowLabels;
  at: number;
  /** Until it is durable. */
  durable: Promise<void> | undefined;
  hasFailed: boolean;
}

export function createStoredLabels(parts: {
  readonly tenant: TenantId;
  readonly repository: StoredMarkRepository;
  readonly fingerprint: (text: string) => string;
  readonly clock: Clock;
  /** How long a mark on a thing, and one on a whole connector, counts after the last write. */
  readonly thingMs: number;
  readonly connectorMs: number;
  /** As the store has them. */
  readonly marks: readonly StoredMark[];
}): StoredLabels {
  const { tenant, repository, fingerprint, clock, thingMs, connectorMs } = parts;
  const connectors = new Map<ConnectorId, Map<string, Kept>>();

  // A clock that is no number makes nothing too old.
  const partOver = ({ names, at }: Pick<StoredMark, 'names' | 'at'>): number =>
    (clock() - at) / (names === undefined ? connectorMs : thingMs);
  const isOver = (mark: Pick<StoredMark, 'names' | 'at'>): boolean => partOver(mark) >= 1;

  let newest = Number.NEGATIVE_INFINITY;
  for (const mark of parts.marks) take(mark);

  /** One that the store has. */
  function take(mark: StoredMark): void {
    newest = Math.max(newest, mark.at);
    if (isOver(mark)) return;
    const known = of(mark.connector).get(namesText(mark.names));
    if (known === undefined) {
      set({ ...mark, durable: undefined, hasFailed: false });
      return;
    }
    known.labels = isOver(known) ? mark.labels : joinLabels(known.labels, mark.labels);
    known.at = Math.max(known.at, mark.at);
  }

  function of(connector: ConnectorId): Map<string, Kept> {
    const known = connectors.get(connector);
    if (known !== undefined) return known;
    const things = new Map<string, Kept>();
    connectors.set(connector, things);
    return things;
  }

  function set(kept: Kept): void {
    of(kept.connector).set(namesText(kept.names), kept);
  }

  function forgetOld(things: Map<string, Kept>): void {
    for (const [text, kept] of things) if (isOver(kept)) things.delete(text);
  }

  return {
    mark(connector, given, labels) {
      const things = of(connector);
      const text = namesText(given);
      if (!things.has(text) && things.size >= MAX_THINGS) forgetOld(things);
      const names = things.has(text) || things.size < MAX_THINGS ? given : undefined;
      const known = things.get(namesText(names));
      const joined = known === undefined || isOver(known) ? labels : joinLabels(known.labels, labels);
      if (known !== undefined && joined === known.labels && !known.hasFailed && !(partOver(known) >= RENEW)) {
        return known.durable;
      }
      const mark: StoredMark = { tenant, connector, names, labels: joined, at: clock() };
      const kept: Kept = { ...mark, durable: undefined, hasFailed: false };
      kept.durable = repository.keep(mark).then(
        () => {
          kept.durable = undefined;
        },
        (error: unknown) => {
          kept.durable = undefined;
          // It counts all the same; whoever stores there next tries once more.
          kept.hasFailed = true;
          throw error;
        },
      );
      set(kept);
      return kept.durable;
    },
    labelsOf(connector, names) {
      const things = connectors.get(connector);
      if (things === undefined) return NO_LABELS;
      let labels = NO_LABELS;
      for (const kept of things.values()) {
        if (!isAnother(kept.names, names) && !isOver(kept)) labels = joinLabels(labels, kept.labels);
      }
      return labels;
    },
    async refresh() {
      for (const mark of await repository.list(tenant, newest - OVERLAP_MS)) take(mark);
    },
    fingerprint,
    get size() {
      return [...connectors.values()].reduce((sum, things) => sum + things.size, 0);
    },
  };
}

/** Where nothing sticks: the owner has said so. */
export const NOTHING_STICKS: StoredLabels = {
  mark: () => undefined,
  labelsOf: () => NO_LABELS,
  refresh: async () => {},
  fingerprint: () => '',
  size: 0,
};
