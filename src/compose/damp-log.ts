import { inspect } from 'node:util';
import type { Log, Schedule } from '../seams/clock.ts';

const WINDOW_MS = 10_000;

/** As many different lines as are remembered; beyond, all are written. */
const MOST_LINES = 1_000;

/**
 * A log in which a warning or an error that says the same as one before, of the same things, stands once in ten seconds: what polls says it at each turn while
 * the store is away. The next of them says how often it was `repeated` in between.
 */
export function dampLog(log: Log, schedule: Schedule): Log {
  /** Lines of the last ten seconds, with how often each came again. */
  const recent = new Map<string, number>();

  function damp(level: 'warn' | 'error'): Log['warn'] {
    return (fields, message) => {
      const line = `${level} ${message} ${inspect(fields)}`;
      const repeated = recent.get(line);
      if (repeated !== undefined) return void recent.set(line, repeated + 1);
      log[level](fields, message);
      if (recent.size < MOST_LINES)
        remember(line, () => log[level]({ ...fields, repeated: recent.get(line) }, message));
    };
  }

  function remember(line: string, writeAgain: () => void): void {
    recent.set(line, 0);
    schedule(WINDOW_MS, () => {
      if (recent.get(line) === 0) return void recent.delete(line);
      writeAgain();
      remember(line, writeAgain);
    });
  }

  return {
    debug: (fields, message) => log.debug(fields, message),
    info: (fields, message) => log.info(fields, message),
    warn: damp('warn'),
    error: damp('error'),
  };
}
