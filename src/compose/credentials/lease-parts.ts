import type { ConnectorId, LeaseId, RandomBytes } from '../../domain/ids.ts';
import { Secret } from '../../domain/secret.ts';
import type { HandleSealer, IssuerBinding, RevokeContext } from '../../leases/lease-context.ts';
import type { LeaseManagerOptions } from '../../leases/lease-manager.ts';
import type { Vault } from '../../secrets/vault.ts';
import type { Workspace } from '../workspace.ts';

/** Name under which the vault seals the handle of a lease. */
export const leaseHandleRecord = (lease: LeaseId): string => `lease-handle:${lease}`;

/** Handles of leases, sealed by the vault: associated data are the tenant and the lease. */
export function createHandleSealer(vault: Vault): HandleSealer {
  return {
    async seal(lease, handle) {
      const bytes = handle.revealBytes();
      try {
        return await vault.seal(leaseHandleRecord(lease), bytes);
      } finally {
        bytes.fill(0);
      }
    },
    async open(lease, sealed) {
      const bytes = await vault.open(leaseHandleRecord(lease), sealed);
      try {
        return new Secret(bytes);
      } finally {
        bytes.fill(0);
      }
    },
  };
}

/** Finds an issuer for a downstream whichever connector it belongs to: a lease outlives the configuration that it was issued under. */
export function issuerFinder(issuers: ReadonlyMap<ConnectorId, IssuerBinding>): NonNullable<RevokeContext['issuerAt']> {
  return (kind, downstream) =>
    [...issuers.values()].find(({ issuer }) => issuer.kind === kind && issuer.downstream === downstream)?.issuer;
}

/** Part of a claimant's name that no other process has. */
export const newName = (random: RandomBytes): string => Buffer.from(random(8)).toString('hex');

/** What every lease manager of a gateway is made of, whatever it does with the events. */
export function leaseParts(
  { estate, store, vault, system, node }: Workspace,
  issuers: ReadonlyMap<ConnectorId, IssuerBinding>,
): Omit<LeaseManagerOptions, 'audit'> {
  const { clock, schedule, random, log } = system;
  const { tenant } = estate;
  return {
    tenant,
    repository: store.leases,
    claims: store.leaseClaims,
    claimant: `gateway ${node === undefined ? '' : `${node} `}${newName(random)}`,
    node,
    handles: createHandleSealer(vault),
    issuerOf: (connector) => issuers.get(connector),
    issuerAt: issuerFinder(issuers),
    clock,
    schedule,
    random,
    log,
    taskOf: (task) => store.tasks.get(tenant, task),
  };
}
