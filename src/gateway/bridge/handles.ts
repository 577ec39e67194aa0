import type { ConnectorId, ToolRef } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Caller } from '../stages/authenticate.ts';
import type { Sealer } from './sealer.ts';

/** An upstream's McpTask: whose it is, and which item's call made it, for the decision on what is done with it. */
export interface McpTaskHandle {
  readonly connector: ConnectorId;
  readonly item: ToolRef;
  /** The server's own id; never shown to a client. */
  readonly taskId: string;
}

/** The id that a client gets for an McpTask: of use to the same principal for the same task, as long as that lasts (attack A17). */
export function sealMcpTask(sealer: Sealer, caller: Caller, handle: McpTaskHandle): string {
  const { connector, item, taskId } = handle;
  return sealer.seal('mcp_task', caller, { c: connector, i: item, t: taskId }, Number.POSITIVE_INFINITY);
}

/** Undefined for whatever was not sealed for this caller. */
export function unsealMcpTask(sealer: Sealer, caller: Caller, text: string): McpTaskHandle | undefined {
  const value = sealer.open('mcp_task', caller, text)?.value;
  if (value === undefined) return undefined;
  return { connector: value.c as ConnectorId, item: value.i as ToolRef, taskId: value.t as string };
}

const RELATED_TASK = 'io.modelcontextprotocol/related-task';

/**
 * Edits (see `editMembers`) that replace every id of an McpTask in a result: `taskId` (modern, and legacy `tasks/get`), `task.taskId` (legacy
 * CreateTaskResult), `tasks[].taskId` (legacy `tasks/list`), and the related task in `_meta`.
 */
export function handleEdits(result: JsonObject, handleOf: (taskId: string) => string): Record<string, string> {
  const edits: Record<string, string> = {};
  const renamed = (value: unknown): unknown =>
    isJsonObject(value) && typeof value.taskId === 'string' ? { ...value, taskId: handleOf(value.taskId) } : value;
  if (typeof result.taskId === 'string') edits.taskId = JSON.stringify(handleOf(result.taskId));
  if (isJsonObject(result.task)) edits.task = JSON.stringify(renamed(result.task));
  if (Array.isArray(result.tasks)) edits.tasks = JSON.stringify(result.tasks.map(renamed));
  const meta = result._meta;
  if (isJsonObject(meta) && meta[RELATED_TASK] !== undefined) {
    edits._meta = JSON.stringify({ ...meta, [RELATED_TASK]: renamed(meta[RELATED_TASK]) });
  }
  return edits;
}
