import { messageOf } from '../domain/errors.ts';
import type { Log } from '../seams/clock.ts';

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
