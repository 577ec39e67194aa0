import type { Selectable } from 'kysely';
import { agentId, taskId, templateId, tenantId, traceId } from '../../domain/ids.ts';
import type { Task, TaskEndReason } from '../../domain/task.ts';
import type { TaskRepository } from '../../seams/store.ts';
import { listOf, orNull, orUndefined } from './columns.ts';
import { lockFor } from './lock-for.ts';
import type { Dialect } from './migrations.ts';
import type { Atomically, Queries, TaskTable } from './schema.ts';

/** Tasks; ending one is a single compare-and-set, so that exactly one of two racing callers ends it. */
export function makeTaskRepository(queries: Queries, atomically: Atomically, dialect: Dialect): TaskRepository {
  return {
    async insert(task, logPosition = 0) {
      await queries.insertInto('tasks').values(toRow(task, logPosition)).execute();
    },

    insertWithin: (most, task, logPosition = 0) =>
      atomically(async (step) => {
        // Whoever comes after the lock counts what who had it has made. SQLite has one writer at a time anyway.
        if (dialect.name === 'postgres') await lockFor(step, 'tasks', task.tenant, task.agent);
        const { live } = await step
          .selectFrom('tasks')
          .select(({ fn }) => fn.countAll<number>().as('live'))
          .where('tenant', '=', task.tenant)
          .where('agent', '=', task.agent)
          // By name, not by what it is not: there is an index on states.
          .where('state', 'in', ['active', 'suspended'])
          .executeTakeFirstOrThrow();
        if (Number(live) >= most) return false;
        await step.insertInto('tasks').values(toRow(task, logPosition)).execute();
        return true;
      }),

    async get(tenant, id) {
      const row = await queries
        .selectFrom('tasks')
        .selectAll()
        .where('tenant', '=', tenant)
        .where('id', '=', id)
        .executeTakeFirst();
      return row === undefined ? undefined : fromRow(row);
    },

    async list(tenant, filter = {}) {
      let query = queries.selectFrom('tasks').selectAll().where('tenant', '=', tenant);
      if (filter.state !== undefined) query = query.where('state', '=', filter.state);
      return (await query.orderBy('started_at').orderBy('id').execute()).map(fromRow);
    },

    async end(tenant, id, reason, at) {
      const { numUpdatedRows } = await queries
        .updateTable('tasks')
        .set({ state: 'ended', end_reason: reason, ended_at: at })
        .where('tenant', '=', tenant)
        .where('id', '=', id)
        .where('state', '<>', 'ended')
        .executeTakeFirst();
      return numUpdatedRows === 1n;
    },

    async setState(tenant, id, state) {
      await queries
        .updateTable('tasks')
        .set({ state })
        .where('tenant', '=', tenant)
        .where('id', '=', id)
        .where('state', '<>', 'ended')
        .execute();
    },

    async revoked(tenant) {
      const rows = await queries
        .selectFrom('tasks')
        .select('tasks.id')
        .where('tasks.tenant', '=', tenant)
        .where('tasks.state', '<>', 'ended')
        .where(({ exists, selectFrom }) =>
          exists(
            selectFrom('revocations')
              .select('revocations.position')
              .whereRef('revocations.tenant', '=', 'tasks.tenant')
              .whereRef('revocations.position', '>', 'tasks.log_position')
              .where('revocations.action', '=', 'revoke')
              .where(({ and, eb, or, ref }) =>
                or([
                  eb('revocations.kind', '=', 'all'),
                  and([eb('revocations.kind', '=', 'agent'), eb('revocations.subject', '=', ref('tasks.agent'))]),
                  and([eb('revocations.kind', '=', 'task'), eb('revocations.subject', '=', ref('tasks.id'))]),
                ]),
              ),
          ),
        )
        .execute();
      return rows.map(({ id }) => taskId(id));
    },
  };
}

function toRow(task: Task, logPosition: number): TaskTable {
  return {
    tenant: task.tenant,
    id: task.id,
    agent: task.agent,
    user_issuer: orNull(task.user?.issuer),
    user_subject: orNull(task.user?.subject),
    user_groups: task.user === undefined ? null : JSON.stringify(task.user.groups),
    template: task.template,
    purpose: task.purpose,
    action_classes: JSON.stringify(task.bounds.actionClasses),
    tools: JSON.stringify(task.bounds.tools),
    resources: JSON.stringify(task.bounds.resources),
    calls: task.bounds.calls,
    parent: orNull(task.parent),
    trace: task.trace,
    state: task.state,
    end_reason: orNull(task.endReason),
    started_at: task.startedAt,
    expires_at: task.expiresAt,
    ended_at: orNull(task.endedAt),
    log_position: logPosition,
  };
}

function fromRow(row: Selectable<TaskTable>): Task {
  return {
    id: taskId(row.id),
    tenant: tenantId(row.tenant),
    agent: agentId(row.agent),
    user:
      row.user_issuer === null || row.user_subject === null
        ? undefined
        : { issuer: row.user_issuer, subject: row.user_subject, groups: listOf(row.user_groups ?? '[]') },
    template: templateId(row.template),
    purpose: row.purpose,
    bounds: {
      actionClasses: listOf(row.action_classes),
      tools: listOf(row.tools),
      resources: listOf(row.resources),
      calls: row.calls,
    },
    parent: row.parent === null ? undefined : taskId(row.parent),
    trace: traceId(row.trace),
    state: row.state,
    endReason: orUndefined(row.end_reason) as TaskEndReason | undefined,
    startedAt: row.started_at,
    expiresAt: row.expires_at,
    endedAt: orUndefined(row.ended_at),
  };
}
