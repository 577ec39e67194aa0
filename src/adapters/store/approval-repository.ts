import { type Selectable, sql } from 'kysely';
import type { Approval, ApprovalState, Approver, Verdict } from '../../domain/approval.ts';
import {
  type AgentId,
  agentId,
  approvalId,
  connectorId,
  type TenantId,
  type ToolRef,
  taskId,
  tenantId,
  traceId,
} from '../../domain/ids.ts';
import type { StepUp } from '../../domain/step-up.ts';
import type { ApprovalRepository } from '../../seams/store.ts';
import { bytesOf, listOf, orNull, orUndefined } from './columns.ts';
import type { ApprovalTable, ApprovalVerdictTable, Atomically, Queries } from './schema.ts';

const OPEN = ['pending', 'approved'] as const;
/** What is over needs its arguments no more: the trail has them, under a key that can be erased. */
const EMPTIED = { key_id: null, envelope: null };

export function makeApprovalRepository(queries: Queries, atomically: Atomically): ApprovalRepository {
  const rows = (tenant: TenantId) => queries.selectFrom('approvals').selectAll().where('tenant', '=', tenant);

  return {
    open: (approval, { keyId, envelope }) =>
      atomically(async (step) => {
        const { tenant, callKey, requestedAt } = approval;
        await step
          .updateTable('approvals')
          .set({ state: 'expired', ended_at: requestedAt, end_reason: 'expired', ...EMPTIED })
          .where('tenant', '=', tenant)
          .where('call_key', '=', callKey)
          .where('state', 'in', OPEN)
          .where('expires_at', '<=', requestedAt)
          .execute();
        await step
          .insertInto('approvals')
          .values({ ...toRow(approval), key_id: keyId, envelope })
          .onConflict((conflict) => conflict.doNothing())
          .execute();
        const row = await step
          .selectFrom('approvals')
          .selectAll()
          .where('tenant', '=', tenant)
          .where('call_key', '=', callKey)
          .where('state', 'in', OPEN)
          .executeTakeFirstOrThrow();
        return fromRow(row);
      }),

    async get(tenant, id) {
      const row = await rows(tenant).where('id', '=', id).executeTakeFirst();
      return row === undefined ? undefined : fromRow(row);
    },

    async list(tenant, { states, task }, limit) {
      let query = rows(tenant);
      if (states !== undefined) query = query.where('state', 'in', states);
      if (task !== undefined) query = query.where('task', '=', task);
      return (await query.orderBy('requested_at', 'desc').orderBy('id').limit(limit).execute()).map(fromRow);
    },

    async about(tenant, { callKey, toolKey }, at) {
      const found = await rows(tenant)
        .where('tool_key', '=', toolKey)
        .where('expires_at', '>', at)
        .where(({ and, eb, or }) =>
          or([
            and([eb('call_key', '=', callKey), eb('state', 'in', [...OPEN, 'denied'])]),
            and([eb('scope', '=', 'task'), eb('state', '=', 'approved')]),
          ]),
        )
        .orderBy('requested_at', 'desc')
        .execute();
      return found.map(fromRow);
    },

    async content(tenant, id) {
      const row = await rows(tenant).where('id', '=', id).executeTakeFirst();
      return row === undefined || row.key_id === null || row.envelope === null
        ? undefined
        : { keyId: row.key_id, envelope: bytesOf(row.envelope) };
    },

    async verdicts(tenant, id) {
      const found = await verdictsOf(queries, tenant, id).execute();
      return found.map(toVerdict);
    },

    decide: (tenant, verdict, conclude) =>
      atomically(async (step) => {
        // Locks the row until the end of the transaction: verdicts are reckoned one after the other.
        const row = await step
          .updateTable('approvals')
          .set({ state: 'pending' })
          .where('tenant', '=', tenant)
          .where('id', '=', verdict.approval)
          .where('state', '=', 'pending')
          .where('expires_at', '>', verdict.at)
          .returningAll()
          .executeTakeFirst();
        if (row === undefined) return undefined;
        const { numInsertedOrUpdatedRows } = await step
          .insertInto('approval_verdicts')
          .values({ ...verdict, tenant, terms: JSON.stringify(verdict.terms) })
          .onConflict((conflict) => conflict.doNothing())
          .executeTakeFirst();
        if (numInsertedOrUpdatedRows !== 1n) return undefined;
        const approval = fromRow(row);
        const all = (await verdictsOf(step, tenant, verdict.approval).execute()).map(toVerdict);
        const change = conclude(approval, all);
        if (change === undefined) return approval;
        const { state, scope, usesLeft } = change;
        const isOver = state === 'denied';
        await step
          .updateTable('approvals')
          .set({
            state,
            scope,
            uses_left: usesLeft,
            decided_at: verdict.at,
            ...(isOver && { ended_at: verdict.at, end_reason: verdict.reason, ...EMPTIED }),
          })
          .where('tenant', '=', tenant)
          .where('id', '=', verdict.approval)
          .execute();
        const ended = isOver ? { endedAt: verdict.at, endReason: verdict.reason } : {};
        return { ...approval, ...change, decidedAt: verdict.at, ...ended };
      }),

    async use(tenant, id, at) {
      const last = <T>(then: T, otherwise: string) =>
        sql<T>`case when uses_left = 1 then ${then} else ${sql.ref(otherwise)} end`;
      const { numUpdatedRows } = await queries
        .updateTable('approvals')
        .set({
          uses_left: sql<number>`uses_left - 1`,
          state: last('used', 'state'),
          ended_at: last(at, 'ended_at'),
          key_id: last<string | null>(null, 'key_id'),
          envelope: last<Buffer | null>(null, 'envelope'),
        })
        .where('tenant', '=', tenant)
        .where('id', '=', id)
        .where('state', '=', 'approved')
        .where('uses_left', '>', 0)
        .where('expires_at', '>', at)
        .where(({ exists, selectFrom }) =>
          exists(
            selectFrom('tasks')
              .select('tasks.id')
              .whereRef('tasks.tenant', '=', 'approvals.tenant')
              .whereRef('tasks.id', '=', 'approvals.task')
              .where('tasks.state', '=', 'active'),
          ),
        )
        // Whatever a node has read of it by now: a row that is durable stops it.
        .where(({ not, exists, selectFrom }) =>
          not(
            exists(
              selectFrom('revocations')
                .select('revocations.position')
                .whereRef('revocations.tenant', '=', 'approvals.tenant')
                .whereRef('revocations.position', '>', 'approvals.log_position')
                .where('revocations.action', '<>', 'resume')
                .where(({ and, eb, or, ref }) => {
                  const about = (kind: string, column: 'approvals.agent' | 'approvals.task' | 'approvals.connector') =>
                    and([eb('revocations.kind', '=', kind), eb('revocations.subject', '=', ref(column))]);
                  return or([
                    eb('revocations.kind', '=', 'all'),
                    about('agent', 'approvals.agent'),
                    about('task', 'approvals.task'),
                    about('connector', 'approvals.connector'),
                  ]);
                }),
            ),
          ),
        )
        .executeTakeFirst();
      return numUpdatedRows === 1n;
    },

    async end(tenant, which, { state, reason, at }) {
      const query = queries
        .updateTable('approvals')
        .set({ state, ended_at: at, end_reason: reason, ...EMPTIED })
        .where('tenant', '=', tenant)
        .where('state', 'in', OPEN);
      const ended = await ('task' in which
        ? query.where('task', '=', which.task)
        : 'connector' in which
          ? query.where('connector', '=', which.connector)
          : query.where('expires_at', '<=', which.expiredAt)
      )
        .returningAll()
        .execute();
      return ended.map(fromRow);
    },

    forget: (tenant, endedBefore, limit) =>
      atomically(async (step) => {
        const over = await step
          .selectFrom('approvals')
          .select('id')
          .where('tenant', '=', tenant)
          // By the index: what is over was asked for before that.
          .where('requested_at', '<=', endedBefore)
          .where('ended_at', '<=', endedBefore)
          .where('state', 'not in', OPEN)
          .limit(limit)
          .execute();
        const ids = over.map(({ id }) => id);
        if (ids.length === 0) return 0;
        await step.deleteFrom('approval_verdicts').where('tenant', '=', tenant).where('approval', 'in', ids).execute();
        await step.deleteFrom('approvals').where('tenant', '=', tenant).where('id', 'in', ids).execute();
        return ids.length;
      }),
  };
}

function verdictsOf(queries: Queries, tenant: string, id: string) {
  return queries
    .selectFrom('approval_verdicts')
    .selectAll()
    .where('tenant', '=', tenant)
    .where('approval', '=', id)
    .orderBy('at')
    .orderBy('approver');
}

function toVerdict(row: Selectable<ApprovalVerdictTable>): Verdict {
  return {
    approval: approvalId(row.approval),
    approver: row.approver,
    via: row.via as Approver['via'],
    verdict: row.verdict as Verdict['verdict'],
    uses: row.uses,
    reason: row.reason,
    terms: listOf(row.terms),
    at: row.at,
  };
}

function toRow(approval: Approval): Omit<ApprovalTable, 'key_id' | 'envelope'> {
  return {
    tenant: approval.tenant,
    id: approval.id,
    task: approval.task,
    trace: approval.trace,
    span: approval.span,
    user_key: orNull(approval.user),
    agent: approval.agent,
    actors: JSON.stringify(approval.actors),
    workload: approval.workload,
    connector: approval.connector,
    tool: approval.tool,
    method: approval.method,
    call_key: approval.callKey,
    tool_key: approval.toolKey,
    policies: JSON.stringify(approval.policies),
    reason: approval.reason,
    policy_version: approval.policyVersion,
    step_up: JSON.stringify(approval.stepUp),
    state: approval.state,
    scope: approval.scope,
    uses_left: approval.usesLeft,
    log_position: approval.logPosition,
    requested_at: approval.requestedAt,
    expires_at: approval.expiresAt,
    decided_at: orNull(approval.decidedAt),
    ended_at: orNull(approval.endedAt),
    end_reason: orNull(approval.endReason),
  };
}

function fromRow(row: Selectable<ApprovalTable>): Approval {
  return {
    id: approvalId(row.id),
    tenant: tenantId(row.tenant),
    task: taskId(row.task),
    trace: traceId(row.trace),
    span: row.span,
    user: orUndefined(row.user_key),
    agent: agentId(row.agent),
    actors: listOf<AgentId>(row.actors),
    workload: row.workload,
    connector: connectorId(row.connector),
    tool: row.tool as ToolRef,
    method: row.method,
    callKey: row.call_key,
    toolKey: row.tool_key,
    policies: listOf(row.policies),
    reason: row.reason,
    policyVersion: row.policy_version,
    stepUp: JSON.parse(row.step_up) as StepUp,
    state: row.state as ApprovalState,
    scope: row.scope as Approval['scope'],
    usesLeft: row.uses_left,
    logPosition: row.log_position,
    requestedAt: row.requested_at,
    expiresAt: row.expires_at,
    decidedAt: orUndefined(row.decided_at),
    endedAt: orUndefined(row.ended_at),
    endReason: orUndefined(row.end_reason),
  };
}
