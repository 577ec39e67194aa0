import type { ConnectorId, ToolRef } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Task } from '../../domain/task.ts';
import type { MethodAnswer } from '../client-request.ts';
import type { Operation } from '../operation.ts';
import type { Caller } from '../stages/authenticate.ts';

/** An McpTask that a call of the task made, with what that call was decided on: what is done with it later is decided on the same. */
export interface KnownMcpTask {
  readonly connector: ConnectorId;
  readonly item: ToolRef;
  /** The server's own id. */
  readonly taskId: string;
  readonly args: JsonObject;
  readonly argumentsText: string;
}

/** Of one task; the oldest makes room. */
const MOST_KNOWN = 64;

const known = new WeakMap<Task, Map<string, KnownMcpTask>>();

const keyOf = (connector: ConnectorId, taskId: string): string => `${connector} ${taskId}`;

export async function rememberMcpTask(
  { task }: Caller,
  { item, args, argumentsText }: Operation,
  governed: Promise<MethodAnswer>,
): Promise<MethodAnswer> {
  const answer = await governed;
  const taskId = 'result' in answer.reply ? mcpTaskIdOf(answer.reply.result) : undefined;
  if (taskId === undefined) return answer;
  let ofTask = known.get(task);
  if (ofTask === undefined) {
    ofTask = new Map();
    known.set(task, ofTask);
  }
  const { connector } = item;
  ofTask.set(keyOf(connector, taskId), { connector, item: item.ref, taskId, args, argumentsText });
  if (ofTask.size > MOST_KNOWN) ofTask.delete(ofTask.keys().next().value as string);
  return answer;
}

/** Modern: a result of type `task`. Legacy: a CreateTaskResult. */
function mcpTaskIdOf({ resultType, taskId, task }: JsonObject): string | undefined {
  const id = resultType === 'task' ? taskId : isJsonObject(task) ? task.taskId : undefined;
  return typeof id === 'string' ? id : undefined;
}

export function recallMcpTask({ task }: Caller, connector: ConnectorId, taskId: string): KnownMcpTask | undefined {
  return known.get(task)?.get(keyOf(connector, taskId));
}

export const knownMcpTasks = ({ task }: Caller): readonly KnownMcpTask[] => [...(known.get(task)?.values() ?? [])];
