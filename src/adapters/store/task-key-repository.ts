import type { TaskKeyRepository } from '../../seams/store.ts';
import { bytesOf } from './columns.ts';
import type { Queries } from './schema.ts';

/** Sealing keys of tasks; an erased one is gone from the table for good (guarantee A5). */
export function makeTaskKeyRepository(queries: Queries): TaskKeyRepository {
  return {
    async insert(key) {
      await queries
        .insertInto('task_keys')
        .values({
          tenant: key.tenant,
          task: key.task,
          key_id: key.keyId,
          envelope: key.envelope,
          created_at: key.createdAt,
        })
        .execute();
    },

    async get(tenant, task) {
      const row = await queries
        .selectFrom('task_keys')
        .select(['key_id', 'envelope'])
        .where('tenant', '=', tenant)
        .where('task', '=', task)
        .executeTakeFirst();
      return row === undefined ? undefined : { keyId: row.key_id, envelope: bytesOf(row.envelope) };
    },

    async erase(tenant, task) {
      const { numDeletedRows } = await queries
        .deleteFrom('task_keys')
        .where('tenant', '=', tenant)
        // A task that went on after a restart may have keys named after it: `tsk_….1` and so on.
        .where((row) => row.or([row('task', '=', task), row('task', 'like', `${task}.%`)]))
        .executeTakeFirst();
      return numDeletedRows > 0n;
    },
  };
}
