import { type TaskId, templateId } from '../domain/ids.ts';
import type { User } from '../domain/principal.ts';
import type { AuditRecord } from '../domain/record.ts';
import type { Task } from '../domain/task.ts';
import { ACTION_CLASSES } from '../domain/tool.ts';

/** A task as its own record tells of it. */
export interface RecordedTask {
  readonly task: Task;
  /** Position of that record. */
  readonly from: number;
  /** Whether all is there that decisions go by: an earlier Remit wrote neither groups nor the exact start. */
  readonly isWhole: boolean;
}

/** Whether nothing of its task stands before it here: it was started, or came from another node. A task that comes back has records before that, too. */
export const isFirstOfTask = ({ type, detail }: AuditRecord): boolean =>
  type === 'task_started' || (type === 'task_adopted' && typeof detail.from === 'string');

/** Undefined for a record that is not one of a task's start as we write them, or of its going on here. */
export function readTaskStarted(record: AuditRecord): RecordedTask | undefined {
  const { task: id, agent, trace, tenant, detail, seq, time } = record;
  const { template, purpose, actionClasses, tools, resources, calls, started, expires, parent, groups } = detail;
  if (
    id === undefined ||
    agent === undefined ||
    trace === undefined ||
    (record.type !== 'task_started' && record.type !== 'task_adopted')
  )
    return undefined;
  if (typeof template !== 'string' || typeof purpose !== 'string' || typeof calls !== 'number') return undefined;
  if (!isTexts(actionClasses) || !isTexts(tools) || !isTexts(resources) || typeof expires !== 'string')
    return undefined;
  const expiresAt = Date.parse(expires);
  if (!Number.isFinite(expiresAt)) return undefined;
  const user = readUser(record.user, isTexts(groups) ? groups : []);
  const task: Task = {
    id,
    tenant,
    agent,
    user,
    template: templateId(template),
    purpose,
    bounds: {
      actionClasses: ACTION_CLASSES.filter((name) => actionClasses.includes(name)),
      tools,
      resources,
      calls,
    },
    parent: typeof parent === 'string' ? (parent as TaskId) : undefined,
    trace,
    state: 'active',
    endReason: undefined,
    startedAt: Date.parse(typeof started === 'string' ? started : time),
    expiresAt,
    endedAt: undefined,
  };
  return { task, from: seq, isWhole: typeof started === 'string' && (user === undefined || isTexts(groups)) };
}

/** `issuer#subject`: an issuer is a URL without fragment (OpenID Connect Core §2), so the first `#` parts them. */
function readUser(key: string | undefined, groups: readonly string[]): User | undefined {
  if (key === undefined) return undefined;
  const at = key.indexOf('#');
  return at < 0 ? undefined : { issuer: key.slice(0, at), subject: key.slice(at + 1), groups };
}

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((one) => typeof one === 'string');
