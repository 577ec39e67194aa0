import { messageOf } from '../../domain/errors.ts';
import { LEASE_LIMITS } from '../../leases/lease-context.ts';
import { reapLeases as reap } from '../../leases/reap.ts';
import type { Workspace } from '../workspace.ts';
import { createConnectorTokens } from './connector-tokens.ts';
import { buildIssuers } from './issuers.ts';
import { createHandleSealer, issuerFinder, newName } from './lease-parts.ts';

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

/**
 * The same again and again, until it is stopped: what bounds a lease whose downstream never ends it, where the gateway does not come back.
 * A round that fails (a store that is away) is logged, and the next one is tried: nothing but the signal ends it.
 */
export async function reapRepeatedly(
  workspace: Workspace,
  isAll: boolean,
  everyMs: number,
  stop: AbortSignal,
): Promise<void> {
  const { log, schedule } = workspace.system;
  while (!stop.aborted) {
    try {
      const reaped = await reapLeases(workspace, isAll);
      const isNews = reaped.revoked + reaped.failed > 0;
      if (isNews) log.info(reaped, 'leases were reaped');
    } catch (error) {
      log.error({ error: messageOf(error) }, 'leases could not be reaped; it is tried again');
    }
    await new Promise<void>((resolve) => {
      if (stop.aborted) return resolve();
      const cancel = schedule(everyMs, resolve);
      const end = (): void => {
        cancel();
        resolve();
      };
      stop.addEventListener('abort', end, { once: true });
    });
  }
}
