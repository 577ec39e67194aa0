import type { LeaseId } from '../../src/domain/ids.ts';
import type { Lease } from '../../src/domain/lease.ts';
import type { LeaseRepository, SealedHandle } from '../../src/seams/store.ts';

export type FakeMemoryLeaseRepository = LeaseRepository & {
  readonly rows: Map<LeaseId, Lease>;
  readonly handles: Map<LeaseId, SealedHandle>;
};

/** FAKE: lease rows in memory; what a store must do is in the store suite. */
export function createFakeMemoryLeaseRepository(): FakeMemoryLeaseRepository {
  const rows = new Map<LeaseId, Lease>();
  const handles = new Map<LeaseId, SealedHandle>();
  return {
    rows,
    handles,
    async insert(lease) {
      if (rows.has(lease.id)) throw new Error('there is such a lease');
      rows.set(lease.id, lease);
    },
    async get(tenant, id) {
      const row = rows.get(id);
      return row?.tenant === tenant ? row : undefined;
    },
    list: async (tenant, { task, connector, agent, states } = {}) =>
      [...rows.values()].filter(
        (row) =>
          row.tenant === tenant &&
          (task === undefined || row.task === task) &&
          (connector === undefined || row.connector === connector) &&
          (agent === undefined || row.agent === agent) &&
          (states === undefined || states.includes(row.state)),
      ),
    async update(tenant, id, from, change) {
      const row = rows.get(id);
      if (row?.tenant !== tenant || !from.includes(row.state)) return false;
      const { handle, ...columns } = change;
      rows.set(id, { ...row, ...columns });
      if (handle !== undefined) handles.set(id, handle);
      else if ('handle' in change) handles.delete(id);
      return true;
    },
    handle: async (_tenant, id) => handles.get(id),
  };
}
