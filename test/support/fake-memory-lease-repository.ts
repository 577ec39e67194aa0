import type { LeaseId } from '../../src/domain/ids.ts';
import type { Lease } from '../../src/domain/lease.ts';
import type { LeaseRepository } from '../../src/seams/store.ts';

export type FakeMemoryLeaseRepository = LeaseRepository & { readonly rows: Map<LeaseId, Lease> };

/** FAKE: lease rows in memory; what a store must do is in the store suite. */
export function createFakeMemoryLeaseRepository(): FakeMemoryLeaseRepository {
  const rows = new Map<LeaseId, Lease>();
  return {
    rows,
    async insert(lease) {
      if (rows.has(lease.id)) throw new Error('there is such a lease');
      rows.set(lease.id, lease);
    },
    async get(tenant, id) {
      const row = rows.get(id);
      return row?.tenant === tenant ? row : undefined;
    },
    list: async (tenant, { task, states } = {}) =>
      [...rows.values()].filter(
        (row) =>
          row.tenant === tenant &&
          (task === undefined || row.task === task) &&
          (states === undefined || states.includes(row.state)),
      ),
    async update(tenant, id, from, change) {
      const row = rows.get(id);
      if (row?.tenant !== tenant || !from.includes(row.state)) return false;
      rows.set(id, { ...row, ...change });
      return true;
    },
  };
}
