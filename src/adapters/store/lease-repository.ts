import type { Insertable, Selectable, Updateable } from 'kysely';
import { agentId, connectorId, leaseId, type ToolRef, taskId, tenantId } from '../../domain/ids.ts';
import type { Lease, LeaseMode, LeaseState, RevocationClass } from '../../domain/lease.ts';
import type { LeaseChange, LeaseRepository } from '../../seams/store.ts';
import { bytesOf, orNull, orUndefined } from './columns.ts';
import type { LeaseTable, Queries } from './schema.ts';

/** Leases; every change is a single compare-and-set on state and fence, so that no two callers both make it. */
export function makeLeaseRepository(queries: Queries): LeaseRepository {
  return {
    async insert(lease) {
      await queries.insertInto('leases').values(toRow(lease)).execute();
    },

    async get(tenant, id) {
      const row = await queries
        .selectFrom('leases')
        .selectAll()
        .where('tenant', '=', tenant)
        .where('id', '=', id)
        .executeTakeFirst();
      return row === undefined ? undefined : fromRow(row);
    },

    async list(tenant, filter = {}) {
      if (filter.states?.length === 0) return [];
      let query = queries.selectFrom('leases').selectAll().where('tenant', '=', tenant);
      if (filter.task !== undefined) query = query.where('task', '=', filter.task);
      if (filter.connector !== undefined) query = query.where('connector', '=', filter.connector);
      if (filter.agent !== undefined) query = query.where('agent', '=', filter.agent);
      if (filter.states !== undefined) query = query.where('state', 'in', filter.states);
      return (await query.orderBy('intended_at').orderBy('id').execute()).map(fromRow);
    },

    async update({ tenant, id, fence }, from, change) {
      if (from.length === 0) return false;
      const { numUpdatedRows } = await queries
        .updateTable('leases')
        .set((column) => ({ state: column.ref('state'), ...toColumns(change) }))
        .where('tenant', '=', tenant)
        .where('id', '=', id)
        .where('fence', '=', fence)
        .where('state', 'in', from)
        .executeTakeFirst();
      return numUpdatedRows === 1n;
    },

    async handle(tenant, id) {
      const row = await queries
        .selectFrom('leases')
        .select(['handle_key_id', 'handle_envelope'])
        .where('tenant', '=', tenant)
        .where('id', '=', id)
        .executeTakeFirst();
      if (row === undefined || row.handle_key_id === null || row.handle_envelope === null) return undefined;
      return { keyId: row.handle_key_id, envelope: bytesOf(row.handle_envelope) };
    },
  };
}

/** A field that is present and undefined is cleared; one that is absent stays. */
function toColumns(change: LeaseChange): Updateable<LeaseTable> {
  return {
    ...(change.state === undefined ? {} : { state: change.state }),
    ...(change.scope === undefined ? {} : { scope: change.scope }),
    ...(change.revocation === undefined ? {} : { revocation: change.revocation }),
    ...('nativeExpiresAt' in change ? { native_expires_at: orNull(change.nativeExpiresAt) } : {}),
    ...('endedAt' in change ? { ended_at: orNull(change.endedAt) } : {}),
    ...('endReason' in change ? { end_reason: orNull(change.endReason) } : {}),
    ...(change.attempts === undefined ? {} : { attempts: change.attempts }),
    ...(change.uses === undefined ? {} : { uses: change.uses }),
    ...(change.claimedUntil === undefined ? {} : { claimed_until: change.claimedUntil }),
    ...('failingSince' in change ? { failing_since: orNull(change.failingSince) } : {}),
    ...('lastError' in change ? { last_error: orNull(change.lastError) } : {}),
    ...('handle' in change
      ? { handle_key_id: orNull(change.handle?.keyId), handle_envelope: orNull(change.handle?.envelope) }
      : {}),
  };
}

function toRow(lease: Lease): Insertable<LeaseTable> {
  return {
    tenant: lease.tenant,
    id: lease.id,
    task: lease.task,
    agent: lease.agent,
    connector: lease.connector,
    mode: lease.mode,
    tool: orNull(lease.tool),
    issuer: lease.issuer,
    downstream: lease.downstream,
    tag: lease.tag,
    state: lease.state,
    revocation: lease.revocation,
    scope: lease.scope,
    intended_at: lease.intendedAt,
    issue_deadline: lease.issueDeadline,
    expires_at: lease.expiresAt,
    native_expires_at: orNull(lease.nativeExpiresAt),
    ended_at: orNull(lease.endedAt),
    end_reason: orNull(lease.endReason),
    attempts: lease.attempts,
    last_error: orNull(lease.lastError),
    handle_key_id: null,
    handle_envelope: null,
    uses: lease.uses,
    failing_since: orNull(lease.failingSince),
    claimed_by: lease.claimedBy,
    claimed_until: lease.claimedUntil,
    fence: lease.fence,
  };
}

export function fromRow(row: Selectable<LeaseTable>): Lease {
  return {
    id: leaseId(row.id),
    tenant: tenantId(row.tenant),
    task: taskId(row.task),
    agent: agentId(row.agent),
    connector: connectorId(row.connector),
    mode: row.mode as LeaseMode,
    tool: orUndefined(row.tool) as ToolRef | undefined,
    issuer: row.issuer,
    downstream: row.downstream,
    tag: row.tag,
    state: row.state as LeaseState,
    revocation: row.revocation as RevocationClass,
    scope: row.scope,
    intendedAt: row.intended_at,
    issueDeadline: row.issue_deadline,
    expiresAt: row.expires_at,
    nativeExpiresAt: orUndefined(row.native_expires_at),
    endedAt: orUndefined(row.ended_at),
    endReason: orUndefined(row.end_reason),
    attempts: row.attempts,
    failingSince: orUndefined(row.failing_since),
    lastError: orUndefined(row.last_error),
    uses: row.uses,
    claimedBy: row.claimed_by,
    claimedUntil: row.claimed_until,
    fence: row.fence,
  };
}
