import type { Clock } from '../seams/clock.ts';
import type { RecordEntry } from './recorder.ts';

/** Refusals recorded one by one in a window; more are counted, and the count goes into the next record. */
const MOST_IN_WINDOW = 20;
const WINDOW_MS = 1_000;

/**
 * Records refused authentications. Whoever has no valid token must not be able to fill the disk: a flood is recorded as its first few
 * and a count.
 */
export function createRefusalRecorder(parts: {
  recordLater: (entry: RecordEntry) => void;
  clock: Clock;
}): (detail: Readonly<Record<string, unknown>>) => void {
  let windowEnd = 0;
  let inWindow = 0;
  let notRecorded = 0;
  return (detail) => {
    const now = parts.clock();
    if (now >= windowEnd || now < windowEnd - WINDOW_MS) {
      windowEnd = now + WINDOW_MS;
      inWindow = 0;
    }
    inWindow += 1;
    if (inWindow > MOST_IN_WINDOW) {
      notRecorded += 1;
      return;
    }
    parts.recordLater({
      type: 'authentication_refused',
      detail: { ...detail, ...(notRecorded > 0 && { notRecordedBefore: notRecorded }) },
    });
    notRecorded = 0;
  };
}
