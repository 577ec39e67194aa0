import { messageOf, RemitError } from '../domain/errors.ts';
import { clockDifference, clockFault } from '../nodes/clock-difference.ts';
import { repeat } from './repeat.ts';
import type { Workspace } from './workspace.ts';

/** How often it is looked at while the gateway runs. */
const LOOKED_AT_MS = 60_000;

/** A node that runs denies meanwhile (`nodes/membership.ts`). */
const HINT =
  'Let both hosts synchronise their clocks (NTP): a gateway that runs serves again by itself, one that was refused is started again.';

export interface ClockCheck {
  readonly what: string;
  /** What to do; undefined where it agrees. */
  readonly hint: string | undefined;
}

type Parts = Pick<Workspace, 'store' | 'system'>;

/**
 * This host's clock beside that of the database, which all nodes share. By a clock that is behind, tasks, tokens and approvals would be good beyond their end; by one
 * that is ahead, credentials would be made to live longer, and tokens of others be refused.
 * @returns undefined where the store is one gateway's alone @throws `ERR_STORE_*`
 */
export async function checkClock({ store: { shared }, system: { clock } }: Parts): Promise<ClockCheck | undefined> {
  if (shared === undefined) return undefined;
  const before = clock();
  const there = await shared.server.now();
  const fault = clockFault(clockDifference(before, there, clock()));
  return fault === undefined
    ? { what: 'this host’s agrees with the database’s', hint: undefined }
    : { what: fault, hint: HINT };
}

/** At the start, before anything is judged by the clock; then every minute, when it is told of: what is denied meanwhile is up to membership. @throws `ERR_CONFIG_INVALID`, `ERR_STORE_*` */
export async function assertClockAgrees(parts: Parts, closers: (() => unknown)[]): Promise<void> {
  const { schedule, log } = parts.system;
  const first = await checkClock(parts);
  if (first === undefined) return;
  if (first.hint !== undefined) {
    throw new RemitError('ERR_CONFIG_INVALID', first.what, { where: 'the clock of this host', hint: first.hint });
  }
  closers.push(
    repeat(schedule, LOOKED_AT_MS, async () => {
      try {
        const found = await checkClock(parts);
        if (found?.hint !== undefined) {
          log.error({ what: found.what, hint: found.hint }, 'the clock is not that of the other nodes');
        }
      } catch (error) {
        log.warn({ error: messageOf(error) }, 'the clock could not be compared with the database’s');
      }
    }),
  );
}
