import type { LeaseId } from '../domain/ids.ts';
import { Secret } from '../domain/secret.ts';
import type { HandleSealer } from '../leases/lease-context.ts';
import type { Vault } from '../secrets/vault.ts';

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
