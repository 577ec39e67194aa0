import { messageOf } from '../../domain/errors.ts';
import { repeat } from '../repeat.ts';
import type { Workspace } from '../workspace.ts';

/** How often it is looked for keys that another node has made. */
const FOLLOW_MS = 1_000;

/** A key that one node has made is known to all after this time, unless they cannot read the store, and then they deny everything. */
export const KEY_SETTLE_MS = 3_000;

/** Among several nodes: what one signs with, all verify by and show. @returns what stops it */
export function followKeys({ store, system }: Workspace, keys: readonly { refresh(): Promise<void> }[]): () => void {
  if (store.shared === undefined) return () => {};
  const { log, schedule } = system;
  return repeat(schedule, FOLLOW_MS, async () => {
    for (const one of keys) {
      await one
        .refresh()
        .catch((error: unknown) => log.warn({ error: messageOf(error) }, 'keys of other nodes could not be read'));
    }
  });
}
