import type { AuditRecord } from '../domain/record.ts';
import type { Schedule } from '../seams/clock.ts';
import { decodeRecord } from './decode-record.ts';
import { isWanted, type RecordFilter } from './record-filter.ts';

/** Payloads as a `Journal` or a read-only reader of its files gives them. */
export type Payloads = AsyncIterable<{ position: number; payload: Buffer }>;

/** Records in order. */
export async function* readRecords(payloads: Payloads, filter: RecordFilter = {}): AsyncGenerator<AuditRecord, void> {
  for await (const { position, payload } of payloads) {
    if (filter.since !== undefined && position < filter.since) continue;
    const record = decodeRecord(position, payload);
    if (isWanted(record, filter)) yield record;
  }
}

/**
 * Records in order, then those that are added, by polling, until the signal aborts (which ends the iteration, and is no
 * error).
 * @param read gives the payloads that are there from a position on
 */
export async function* followRecords(
  read: (from: number) => Payloads,
  options: { filter?: RecordFilter; schedule: Schedule; pollMs?: number; signal: AbortSignal },
): AsyncGenerator<AuditRecord, void> {
  const { filter = {}, schedule, pollMs = 500, signal } = options;
  let next = filter.since ?? 0;
  while (!signal.aborted) {
    for await (const { position, payload } of read(next)) {
      if (signal.aborted) return;
      next = position + 1;
      const record = decodeRecord(position, payload);
      if (isWanted(record, filter)) yield record;
    }
    await pause(pollMs, schedule, signal);
  }
}

/** JSON Lines: one record a line, `seq` first. */
export async function* toJsonl(records: AsyncIterable<AuditRecord>): AsyncGenerator<string, void> {
  for await (const { seq, ...rest } of records) yield `${JSON.stringify({ seq, ...rest })}\n`;
}

function pause(ms: number, schedule: Schedule, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const cancel = schedule(ms, () => {
      signal.removeEventListener('abort', stop);
      resolve();
    });
    const stop = (): void => {
      cancel();
      resolve();
    };
    signal.addEventListener('abort', stop, { once: true });
  });
}
