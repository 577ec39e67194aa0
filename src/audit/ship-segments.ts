import { messageOf, RemitError } from '../domain/errors.ts';
import type { Archive } from '../seams/archive.ts';
import type { Log, Schedule } from '../seams/clock.ts';
import type { Recorder } from './recorder.ts';
import type { TrailState } from './trail-state.ts';

interface ShippableFile {
  readonly name: string;
  read(): Promise<Buffer>;
}

/** A closed piece of the journal. */
export interface ShippableSegment {
  readonly number: number;
  readonly first: number;
  readonly end: number;
  readonly files: readonly ShippableFile[];
}

export interface Shipper {
  /** Something may have been closed; the first time, that was there before. */
  wake(): void;
  /** Everything before it is in the archive, and that is on record. */
  shippedBefore(): number;
  /** What is under way is given up; it is begun again by the next process. */
  stop(): Promise<void>;
}

const POLL_MS = 60_000;
const FIRST_RETRY_MS = 1_000;
const SLOWEST_RETRY_MS = 300_000;
/** Of one file. */
const WITHIN_MS = 300_000;

/**
 * Ships closed segments, oldest first, one at a time, each put on record once it is in the archive: from there the next one is known, also after a crash. One
 * that came between the two ships it again, and finds it there. A failure is logged, and tried again with growing pauses; nothing that is served waits.
 */
export function createShipper(parts: {
  archive: Archive;
  /** In front of the names of this journal’s files: what lies below it is a copy of the journal. */
  base: string;
  key: ShippableFile;
  /** Segments that end behind a position and are closed, oldest first. */
  closed: (from: number) => Promise<readonly ShippableSegment[]>;
  recorder: Pick<Recorder, 'record'>;
  /** As a start found it. */
  state: Pick<TrailState, 'shipped'>;
  onShipped: () => void;
  schedule: Schedule;
  log: Log;
}): Shipper {
  const { archive, base, key, closed, recorder, state, schedule, log } = parts;
  const stopped = new AbortController();
  let isKeyKept = false;
  let failures = 0;
  let current: Promise<void> | undefined;
  let isWanted = false;
  let cancel = (): void => {};

  /** Of another place nothing is known here: all that is left is shipped there. */
  let before = state.shipped?.to === archive.name ? state.shipped.before : 0;

  async function keep(file: ShippableFile): Promise<number> {
    const bytes = await file.read();
    const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(WITHIN_MS)]);
    await archive.keep(`${base}/${file.name}`, bytes, signal);
    return bytes.length;
  }

  async function shipAll(): Promise<void> {
    for (;;) {
      const [next] = await closed(before);
      if (next === undefined || stopped.signal.aborted) return;
      if (!isKeyKept) await keep(key);
      isKeyKept = true;
      const { number, first, end } = next;
      let bytes = 0;
      for (const file of next.files) bytes += await keep(file);
      const at = `${archive.name}/${base}`;
      await recorder.record({
        type: 'segment_shipped',
        detail: { to: archive.name, at, segment: number, first, end, bytes },
      });
      before = end;
      failures = 0;
      parts.onShipped();
    }
  }

  function run(): void {
    if (stopped.signal.aborted) return;
    if (current !== undefined) {
      isWanted = true;
      return;
    }
    cancel();
    isWanted = false;
    current = shipAll()
      .catch((error: unknown) => {
        if (stopped.signal.aborted) return;
        failures += 1;
        const where = error instanceof RemitError ? error.where : undefined;
        log.error({ to: archive.name, failures, where, error: messageOf(error) }, 'a segment could not be shipped');
      })
      .finally(() => {
        current = undefined;
        if (stopped.signal.aborted) return;
        if (isWanted && failures === 0) return run();
        const wait =
          failures === 0 ? POLL_MS : Math.min(SLOWEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 10));
        cancel = schedule(wait, run);
      });
  }

  return {
    wake: () => {
      // While it fails, the pauses count.
      if (failures === 0) run();
    },
    shippedBefore: () => before,
    async stop() {
      stopped.abort();
      cancel();
      await current;
    },
  };
}
