import type { Schedule } from '../seams/clock.ts';

export class TooLate extends Error {}

/** What `run` comes to, or a rejection with `TooLate` and an aborted signal once `ms` are over. What comes later is not looked at. */
export function withinTime<T>(ms: number, schedule: Schedule, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const abort = new AbortController();
  return new Promise<T>((resolve, reject) => {
    const cancel = schedule(ms, () => {
      reject(new TooLate('no answer in time'));
      abort.abort();
    });
    // Called in a promise, so that what it throws is a rejection as well.
    Promise.resolve()
      .then(() => run(abort.signal))
      .then(resolve, reject)
      .finally(cancel);
  });
}
