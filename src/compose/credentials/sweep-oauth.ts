import { messageOf } from '../../domain/errors.ts';
import { repeat } from '../repeat.ts';
import type { Workspace } from '../workspace.ts';

const SWEEP_MS = 600_000;

/** Removes expired rows of the authorization server, for as long as the gateway runs. */
export function sweepOauth({ store, system }: Workspace): () => void {
  const { clock, log, schedule } = system;
  return repeat(schedule, SWEEP_MS, async () => {
    await store.oauth
      .removeExpired(Math.floor(clock() / 1000))
      .catch((error: unknown) => log.warn({ error: messageOf(error) }, 'expired OAuth rows could not be removed'));
  });
}
