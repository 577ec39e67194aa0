import { userKey } from '../../domain/principal.ts';
import type { AuditRecord } from '../../domain/record.ts';
import type { Task } from '../../domain/task.ts';

/** The identity fields of a record about a task as a whole. */
export function identityOfTask(task: Task): Pick<AuditRecord, 'trace' | 'user' | 'agent' | 'task'> {
  return { trace: task.trace, ...(task.user && { user: userKey(task.user) }), agent: task.agent, task: task.id };
}

/** What was granted, for the record of its start: with it, whatever decisions of the task go by and their own records do not repeat. */
export function detailOfTask(task: Task): Record<string, unknown> {
  const { template, purpose, bounds, startedAt, expiresAt, parent, user } = task;
  return {
    template,
    purpose,
    ...bounds,
    started: new Date(startedAt).toISOString(),
    expires: new Date(expiresAt).toISOString(),
    ...(parent !== undefined && { parent }),
    ...(user !== undefined && { groups: user.groups }),
  };
}
