import type { Journal } from '../seams/journal.ts';

/**
 * The same journal, with each append that somebody waits for measured.
 * @param now seconds, of a clock that only goes forward
 */
export function timeAppends(journal: Journal, now: () => number, onAppended: (seconds: number) => void): Journal {
  return {
    append(payload) {
      const begun = now();
      const appending = journal.append(payload);
      // A failure has a log line and an end of its own.
      appending.then(
        () => onAppended(now() - begun),
        () => {},
      );
      return appending;
    },
    appendLater: (payload, onFault) => journal.appendLater(payload, onFault),
    get size() {
      return journal.size;
    },
    read: (from) => journal.read(from),
    checkpoint: () => journal.checkpoint(),
    close: () => journal.close(),
  };
}
