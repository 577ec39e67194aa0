import { messageOf } from '../domain/errors.ts';
import type { Log, Schedule } from '../seams/clock.ts';
import type { OpenRecord, RecordRows } from '../seams/record-rows.ts';
import { decodeRecord } from './decode-record.ts';
import type { Payloads } from './read-records.ts';

export interface RowWriter {
  start(): void;
  /** Position behind the last record that is known to be there; undefined while that is not known. */
  next(): number | undefined;
  /** What is under way is finished; what is left the next process adds. */
  stop(): Promise<void>;
}

/** Rows of one statement: a few milliseconds' work, beside calls. */
export const BATCH = 128;

const SLOWEST_RETRY_MS = 300_000;

/**
 * Adds records to a table, in order and in batches, as soon as they are under a signature: what a crash may still take is not there. From where on is asked of
 * the table itself, so that a lost answer, a crash or a table that was dropped needs no repair. Nothing that is served waits for it.
 */
export function createRowWriter(parts: {
  rows: RecordRows;
  journal: string;
  node: string;
  read: (from: number) => Payloads;
  /** Records that are under a signature. */
  signedSize: () => Promise<number>;
  everyMs: number;
  schedule: Schedule;
  log: Log;
}): RowWriter {
  const { rows, journal, node, read, signedSize, everyMs, schedule, log } = parts;
  let next: number | undefined;
  let failures = 0;
  let isStopped = false;
  let current: Promise<void> | undefined;
  let cancel = (): void => {};

  async function write(): Promise<void> {
    // After a failure what is there is not known: the answer alone may have been lost.
    next ??= await rows.next(journal);
    const end = await signedSize();
    if (end <= next) return;
    let batch: OpenRecord[] = [];
    for await (const { position, payload } of read(next)) {
      if (position >= end || isStopped) break;
      const { sealed: _, ...record } = decodeRecord(position, payload);
      batch.push(record);
      if (batch.length < BATCH) continue;
      await add(batch);
      batch = [];
    }
    if (batch.length > 0) await add(batch);
  }

  async function add(batch: readonly OpenRecord[]): Promise<void> {
    await rows.add(journal, node, batch);
    next = (batch.at(-1)?.seq ?? 0) + 1;
    failures = 0;
  }

  function run(): void {
    if (isStopped) return;
    current = write()
      .then(
        () => {
          failures = 0;
        },
        (error: unknown) => {
          next = undefined;
          failures += 1;
          log.error({ to: rows.name, failures, error: messageOf(error) }, 'records could not be added to the table');
        },
      )
      .finally(() => {
        current = undefined;
        if (isStopped) return;
        cancel = schedule(Math.min(SLOWEST_RETRY_MS, everyMs * 2 ** Math.min(failures, 10)), run);
      });
  }

  return {
    start: run,
    next: () => next,
    async stop() {
      isStopped = true;
      cancel();
      await current;
    },
  };
}
