import { readSeenHead, type SeenHead } from '../domain/trail-head.ts';
import { decodeRecord, peekType } from './decode-record.ts';
import type { Payloads } from './read-records.ts';

/** A checkpoint of another journal that stands in this one. */
export interface Sighting extends SeenHead {
  /** Position and time of the record that holds it. */
  readonly record: number;
  readonly time: string;
}

/** A journal that was given up for this one, on record. */
export interface GivenUp {
  readonly origin: string;
  readonly record: number;
}

export interface Sightings {
  readonly seen: readonly Sighting[];
  readonly givenUp: readonly GivenUp[];
}

/** Types that say something of other journals. A mark repeats what records that may have been removed since said. */
const SAYING: ReadonlySet<string> = new Set(['checkpoint_seen', 'recovery_mark', 'administration']);

/** What a journal says of others. @param before milliseconds: what was recorded later is left out */
export async function findSightings(payloads: Payloads, before = Number.POSITIVE_INFINITY): Promise<Sightings> {
  const seen = new Map<string, Sighting>();
  const givenUp: GivenUp[] = [];
  for await (const { position, payload } of payloads) {
    if (!SAYING.has(peekType(payload) ?? '')) continue;
    const { type, detail, time } = decodeRecord(position, payload);
    if (Date.parse(time) >= before) continue;
    if (type === 'administration') {
      if (detail.action !== 'journal_damage_accept') continue;
      for (const checkpoint of [detail.lastCheckpoint, ...listOf(detail.superseded)]) {
        if (typeof checkpoint !== 'string') continue;
        givenUp.push({ origin: checkpoint.slice(0, checkpoint.indexOf('\n')), record: position });
      }
      continue;
    }
    for (const said of listOf(detail.seen)) {
      const head = readSeenHead(said);
      if (head !== undefined && !seen.has(head.checkpoint)) {
        seen.set(head.checkpoint, { ...head, record: position, time });
      }
    }
  }
  return { seen: [...seen.values()], givenUp };
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
