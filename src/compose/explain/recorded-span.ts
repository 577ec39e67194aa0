import { decodeRecord } from '../../audit/decode-record.ts';
import type { RunReader } from '../../audit/read-backwards.ts';
import type { Payloads } from '../../audit/read-records.ts';
import { type RecordedDecision, readRecordedDecisions } from '../../audit/recorded-decisions.ts';
import type { Estate } from '../estate.ts';

/** Decisions of a span of time; each reading is the same one, whatever is written meanwhile. */
export interface RecordedSpan {
  /** Milliseconds since the epoch: from when, to when. */
  readonly since: number;
  readonly until: number;
  read(): AsyncGenerator<RecordedDecision, void>;
}

/** A task that began before the span is known from its start on: no task lasts longer than its template lets it. */
export function recordedSpan(reader: RunReader, estate: Estate, since: number, until: number): RecordedSpan {
  const longest = Math.max(0, ...[...estate.templates.values()].map((one) => one.maxDurationSeconds * 1000));
  return {
    since,
    until,
    async *read() {
      const start = await startBefore(reader, since - longest);
      for await (const decided of readRecordedDecisions(reader.read(start))) {
        const at = Date.parse(decided.record.time);
        if (at >= since && at < until) yield decided;
      }
    },
  };
}

/** The newest position at which reading can begin whose record is older than a time; 0 where there is none. */
async function startBefore({ read, starts }: RunReader, time: number): Promise<number> {
  const all = await starts();
  for (let index = all.length - 1; index > 0; index -= 1) {
    const start = all[index] as number;
    const first = await firstTime(read(start), start);
    if (first !== undefined && first < time) return start;
  }
  return 0;
}

async function firstTime(payloads: Payloads, start: number): Promise<number | undefined> {
  for await (const { position, payload } of payloads) {
    return position < start ? undefined : Date.parse(decodeRecord(position, payload).time);
  }
  return undefined;
}
