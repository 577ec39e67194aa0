import type { Recorder } from '../../audit/recorder.ts';
import type { ConnectorId } from '../../domain/ids.ts';
import { mayFinish } from '../../leases/held-lease.ts';
import type { IssuerBinding } from '../../leases/lease-context.ts';
import { createLeaseManager, type LeaseManager } from '../../leases/lease-manager.ts';
import type { Wire } from '../build-wire.ts';
import type { Workspace } from '../workspace.ts';
import { leaseParts } from './lease-parts.ts';

/** Credentials over the store, the vault and the trail; a connection goes with the one that it was opened with. */
export function buildLeases(parts: {
  workspace: Workspace;
  issuers: ReadonlyMap<ConnectorId, IssuerBinding>;
  recorder: Recorder;
  /** Not there yet while the gateway is put together. */
  wire: () => Pick<Wire, 'connections'>;
}): LeaseManager {
  const { workspace, issuers, recorder, wire } = parts;
  return createLeaseManager({
    ...leaseParts(workspace, issuers),
    audit: async (event) => {
      await recorder.record(event);
    },
    onRetired: (lease, reason) =>
      mayFinish(reason) ? wire().connections.retireLease(lease.id) : wire().connections.closeLease(lease.id),
  });
}
