import { type Selectable, sql } from 'kysely';
import { type TaskId, taskId } from '../../domain/ids.ts';
import { FIRST_FENCE, type OwnedTask, type TaskMemory } from '../../domain/node.ts';
import type { TaskPlaceRepository } from '../../seams/shared-store.ts';
import type { Queries, TaskPlaceTable } from './schema.ts';

/** Runs a statement that a connection parses and plans once, under its name: past the query layer, which costs as much as the statement. @returns its rows */
export type Prepared = (name: string, text: string, values: readonly unknown[]) => Promise<readonly unknown[]>;

/** What every call waits for, with those that wait at the same moment. Its result has one shape for ever: a plan made before an upgrade stays good. */
export const KEEP_MEMORIES = `update task_places as place set calls = given.calls, memory = given.memory
from unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[]) as given (task, fence, calls, memory)
where place.tenant = $5 and place.owner = $6 and place.task = given.task and place.fence = given.fence
returning place.task`;

/** Who owns which task, in PostgreSQL. */
export function makeTaskPlaceRepository(queries: Queries, prepared: Prepared): TaskPlaceRepository {
  const ownersOf = (tenant: string, families: readonly string[]) =>
    queries
      .selectFrom('task_places')
      .select(['task', 'owner'])
      .where('tenant', '=', tenant)
      .where('family', 'in', families)
      .execute();

  /** Those whose tasks have not ended; a place of any other is let go of. */
  async function living(
    tenant: string,
    rows: readonly Selectable<TaskPlaceTable>[],
  ): Promise<Selectable<TaskPlaceTable>[]> {
    if (rows.length === 0) return [];
    const ids = rows.map(({ task }) => task);
    const live = await queries
      .selectFrom('tasks')
      .select('id')
      .where('tenant', '=', tenant)
      .where('id', 'in', ids)
      .where('state', '<>', 'ended')
      .execute();
    const alive = new Set(live.map(({ id }) => id));
    const over = ids.filter((id) => !alive.has(id));
    if (over.length > 0)
      await queries.deleteFrom('task_places').where('tenant', '=', tenant).where('task', 'in', over).execute();
    return rows.filter(({ task }) => alive.has(task));
  }

  return {
    async own(tenant, owner, task, family) {
      await queries
        .insertInto('task_places')
        .values({ tenant, task, family, owner, fence: FIRST_FENCE, calls: 0, memory: '{}' })
        .execute();
    },

    async find(tenant, task) {
      const row = await queries
        .selectFrom('task_places')
        .innerJoin('tasks', (join) =>
          join.onRef('tasks.tenant', '=', 'task_places.tenant').onRef('tasks.id', '=', 'task_places.task'),
        )
        .leftJoin('nodes', (join) =>
          join
            .onRef('nodes.tenant', '=', 'task_places.tenant')
            .onRef('nodes.name', '=', 'task_places.owner')
            .on('nodes.is_buried', '=', 0),
        )
        .select(['task_places.family', 'task_places.owner', 'nodes.address'])
        .where('task_places.tenant', '=', tenant)
        .where('task_places.task', '=', task)
        .where('tasks.state', '<>', 'ended')
        .executeTakeFirst();
      return row === undefined
        ? undefined
        : { family: taskId(row.family), owner: row.owner, address: row.address ?? undefined };
    },

    async claim(tenant, owner, which) {
      if (which !== 'earlier' && 'mine' in which) {
        const rows = await queries
          .selectFrom('task_places')
          .selectAll()
          .where('tenant', '=', tenant)
          .where('owner', '=', owner)
          .where('family', '=', which.mine)
          .execute();
        return (await living(tenant, rows)).map(toOwned);
      }
      // Asked again of each row once its lock is had: of two nodes that claim a family, one finds that it has an owner.
      const isFree =
        which === 'earlier'
          ? sql<boolean>`task_places.owner = ${owner}`
          : sql<boolean>`not exists (select 1 from nodes where nodes.tenant = task_places.tenant
              and nodes.name = task_places.owner and nodes.is_buried = 0)`;
      const families =
        which === 'earlier'
          ? undefined
          : 'family' in which
            ? [which.family]
            : (
                await queries
                  .selectFrom('task_places')
                  .select('family')
                  .distinct()
                  .where('tenant', '=', tenant)
                  .where(isFree)
                  .limit(which.orphans)
                  .execute()
              ).map(({ family }) => family);
      if (families?.length === 0) return [];
      // For the record alone: of two nodes that claim at once, one gets nothing.
      const had = families === undefined ? [] : await ownersOf(tenant, families);
      let query = queries
        .updateTable('task_places')
        .set((column) => ({ owner, fence: column('fence', '+', 1) }))
        .where('task_places.tenant', '=', tenant)
        .where(isFree);
      if (families !== undefined) query = query.where('family', 'in', families);
      const claimed = await query.returningAll().execute();
      const before = new Map(had.map((row) => [row.task, row.owner]));
      return (await living(tenant, claimed)).map((row) => {
        const from = before.get(row.task);
        return { ...toOwned(row), ...(from !== undefined && from !== owner && { from }) };
      });
    },

    async keep(tenant, owner, rows) {
      const kept = (await prepared('remit_keep_memories', KEEP_MEMORIES, [
        rows.map(({ task }) => task),
        rows.map(({ fence }) => fence),
        rows.map(({ memory }) => memory.calls),
        rows.map(({ memory }) => textOf(memory)),
        tenant,
        owner,
      ])) as readonly { readonly task: string }[];
      return new Set(kept.map(({ task }) => taskId(task)));
    },

    async forget(tenant, tasks) {
      if (tasks.length === 0) return;
      await queries.deleteFrom('task_places').where('tenant', '=', tenant).where('task', 'in', tasks).execute();
    },
  };
}

const textOf = ({ calls: _, ...rest }: TaskMemory): string => JSON.stringify(rest);

function toOwned({ task, fence, calls, memory }: Selectable<TaskPlaceTable>): OwnedTask {
  return { task: taskId(task) satisfies TaskId, fence, memory: { ...(JSON.parse(memory) as object), calls } };
}
