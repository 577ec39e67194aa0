import type { LeaseId } from '../../src/domain/ids.ts';
import type { Lease } from '../../src/domain/lease.ts';
import type { LeaseClaims, LeaseRepository, SealedHandle } from '../../src/seams/store.ts';

export type FakeMemoryLeaseRepository = LeaseRepository & {
  readonly rows: Map<LeaseId, Lease>;
  readonly handles: Map<LeaseId, SealedHandle>;
  readonly claims: LeaseClaims;
};

/** FAKE: lease rows and the claims on them in memory; what a store must do is in the store suite. */
export function createFakeMemoryLeaseRepository(): FakeMemoryLeaseRepository {
  const rows = new Map<LeaseId, Lease>();
  const handles = new Map<LeaseId, SealedHandle>();
  const claim = (row: Lease, claimedBy: string, claimedUntil: number): Lease => {
    const claimed = { ...row, claimedBy, claimedUntil, fence: row.fence + 1 };
    rows.set(row.id, claimed);
    return claimed;
  };
  const dueAt = (tenant: string, at: number) =>
    [...rows.values()].filter((row) => row.tenant === tenant && row.state !== 'ended' && row.claimedUntil <= at);
  return {
    rows,
    handles,
    claims: {
      async due(tenant, at) {
        const later = [...rows.values()]
          .filter((row) => row.tenant === tenant && row.state !== 'ended' && row.claimedUntil > at)
          .reduce((least, row) => Math.min(least, row.claimedUntil), Number.POSITIVE_INFINITY);
        return {
          downstreams: [...new Set(dueAt(tenant, at).map((row) => row.downstream))],
          next: later === Number.POSITIVE_INFINITY ? undefined : later,
        };
      },
      claimDue: async (tenant, { by, at, until, downstream, limit }) =>
        dueAt(tenant, at)
          .filter((row) => row.downstream === downstream)
          .slice(0, limit)
          .map((row) => claim(row, by, until)),
      async takeOver({ tenant, id }, { by, until }) {
        const row = rows.get(id);
        return row?.tenant === tenant ? claim(row, by, until) : undefined;
      },
      async releaseOthers(tenant, by, at, reason, ofNode) {
        const open = [...rows.values()].filter(
          (row) =>
            row.tenant === tenant &&
            row.claimedBy !== by &&
            (ofNode === undefined || row.claimedBy.startsWith(`gateway ${ofNode} `)) &&
            (row.state === 'intended' || row.state === 'active' || row.state === 'revoking'),
        );
        for (const row of open) {
          const endReason = row.endReason ?? reason;
          rows.set(row.id, { ...row, claimedUntil: at, fence: row.fence + 1, endReason });
        }
        return open.length;
      },
    },
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
    async update({ tenant, id, fence }, from, change) {
      const row = rows.get(id);
      if (row?.tenant !== tenant || row.fence !== fence || !from.includes(row.state)) return false;
      const { handle, ...columns } = change;
      rows.set(id, { ...row, ...columns });
      if (handle !== undefined) handles.set(id, handle);
      else if ('handle' in change) handles.delete(id);
      return true;
    },
    handle: async (_tenant, id) => handles.get(id),
  };
}
