import { messageOf } from '../domain/errors.ts';
import type { Log, Schedule } from '../seams/clock.ts';

/** Closes what was opened, the last first; one that cannot be closed is logged, and does not keep the others open. */
export async function closeInReverse(closers: (() => Promise<unknown> | unknown)[], log: Log): Promise<void> {
  for (const closer of closers.splice(0).reverse()) {
    try {
      await closer();
    } catch (error) {
      log.error({ error: messageOf(error) }, 'a part could not be closed cleanly');
    }
  }
}

/** What is bounded one by one may be many: a stop waits so long for all of it, milliseconds. Well below what a supervisor waits before it kills. */
const MOST_MS = 20_000;

/**
 * Resolves when all of it is done, has failed, or took too long: then nobody waits for the rest. Never rejects.
 * @param late what is said of that
 */
export function doneOrLate(
  work: readonly Promise<unknown>[],
  { schedule, log }: { readonly schedule: Schedule; readonly log: Log },
  late: string,
): Promise<void> {
  return new Promise((resolve) => {
    const cancel = schedule(MOST_MS, () => {
      log.warn({ afterMs: MOST_MS }, late);
      resolve();
    });
    void Promise.allSettled(work).then((ends) => {
      cancel();
      for (const end of ends) {
        if (end.status === 'rejected')
          log.error({ error: messageOf(end.reason) }, 'a part could not be closed cleanly');
      }
      resolve();
    });
  });
}
