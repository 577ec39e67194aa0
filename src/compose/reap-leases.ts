import { LEASE_LIMITS } from '../leases/lease-context.ts';
import { reapLeases as reap } from '../leases/reap.ts';
import { createConnectorTokens } from './connector-tokens.ts';
import { buildIssuers } from './issuers.ts';
import { createHandleSealer, issuerFinder, newName } from './lease-parts.ts';
import type { Workspace } from './workspace.ts';

/** Revokes leases from their rows alone, without a gateway (guarantee L3). The journal is not written: a gateway may hold it. */
export async function reapLeases(
  workspace: Workspace,
  isAll: boolean,
): Promise<{ revoked: number; lapsing: number; failed: number }> {
  const { estate, store, system, vault } = workspace;
  const issuers = await buildIssuers(workspace, createConnectorTokens(workspace));
  try {
    const { ended, lapsing, outstanding } = await reap(
      {
        tenant: estate.tenant,
        repository: store.leases,
        claims: store.leaseClaims,
        claimant: `reaper ${newName(system.random)}`,
        handles: createHandleSealer(vault),
        issuerOf: (connector) => issuers.get(connector),
        issuerAt: issuerFinder(issuers),
        clock: system.clock,
        schedule: system.schedule,
        random: system.random,
        log: system.log,
        audit: async (event) => system.log.info({ lease: event.lease, ...event.detail }, event.type),
        taskOf: (task) => store.tasks.get(estate.tenant, task),
        limits: LEASE_LIMITS,
      },
      isAll ? 'all' : 'expired',
    );
    return { revoked: ended.length, lapsing: lapsing.length, failed: outstanding.length };
  } finally {
    await Promise.all([...issuers.values()].map(({ issuer }) => issuer.close()));
  }
}
