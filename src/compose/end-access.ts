import type { LeaseManager } from '../leases/lease-manager.ts';
import type { Log, Schedule } from '../seams/clock.ts';
import { doneOrLate } from './close-in-reverse.ts';

/** At a stop: connections and credentials end; tasks outlive it, and the next call gets new ones. Never rejects. */
export async function endAccess({
  wire,
  leases,
  system,
}: {
  readonly wire: { closeAll(): Promise<unknown> };
  readonly leases: Pick<LeaseManager, 'revokeAll' | 'close'>;
  readonly system: { readonly schedule: Schedule; readonly log: Log };
}): Promise<void> {
  // Side by side: a server that will not stop must not keep its credential. What cannot be revoked in time is revoked by the others, or at the next start.
  const ending = [wire.closeAll(), leases.revokeAll('gateway stopped')];
  await doneOrLate(
    ending,
    system,
    'not all credentials are revoked yet: the other nodes, or the next start, see to them',
  );
  leases.close();
}
