import { RPC } from '../../domain/era.ts';
import { isJsonObject } from '../../domain/json.ts';
import { undeclaredMcpTasks } from '../bridge/client-features.ts';
import { unsealMcpTask } from '../bridge/handles.ts';
import type { ClientRequest, MethodAnswer } from '../client-request.ts';
import type { Gateway } from '../gateway.ts';
import type { Operation } from '../operation.ts';
import { governCall } from '../pipeline.ts';
import type { Caller } from '../stages/authenticate.ts';
import { recordDenial } from '../stages/record-intent.ts';
import { resolveRef } from '../stages/resolve.ts';
import { knownMcpTasks, recallMcpTask } from './known-mcp-tasks.ts';
import { invalidParams, listAnswer } from './results.ts';

// McpTasks: extension `io.modelcontextprotocol/tasks` of 2026-07-28, and the feature of 2025-11-25. What is done with one is decided on as the
// call that made it, with the arguments of that call: who may no longer make it may not go on with it either.

/** `tasks/get` of either era */
export const getMcpTask = (gateway: Gateway, caller: Caller, request: ClientRequest): Promise<MethodAnswer> =>
  operate(gateway, caller, request, 'follow');

/** `tasks/cancel` of either era */
export const cancelMcpTask = (gateway: Gateway, caller: Caller, request: ClientRequest): Promise<MethodAnswer> =>
  operate(gateway, caller, request, 'follow');

/** `tasks/result`, legacy: waits until there is one */
export const mcpTaskResult = (gateway: Gateway, caller: Caller, request: ClientRequest): Promise<MethodAnswer> =>
  operate(gateway, caller, request, 'call');

/** `tasks/update`, modern: answers to what an McpTask waits for */
export function updateMcpTask(
  gateway: Gateway,
  caller: Caller,
  request: ClientRequest,
): MethodAnswer | Promise<MethodAnswer> {
  const { inputResponses } = request.params;
  if (!isJsonObject(inputResponses)) return invalidParams('"inputResponses" must be an object');
  return operate(gateway, caller, request, 'call', `,"inputResponses":${JSON.stringify(inputResponses)}`);
}

async function operate(
  gateway: Gateway,
  caller: Caller,
  request: ClientRequest,
  effect: Operation['effect'],
  eraParams = '',
): Promise<MethodAnswer> {
  const undeclared = request.era === 'modern' ? undeclaredMcpTasks(request.capabilities) : undefined;
  if (undeclared !== undefined) return { reply: { error: undeclared } };
  const { taskId: given } = request.params;
  if (typeof given !== 'string') return invalidParams('"taskId" must be a string');
  const handle = unsealMcpTask(gateway.sealer, caller, given);
  const isInScope = handle !== undefined && (request.scope === undefined || request.scope === handle.connector);
  const item = isInScope ? resolveRef(gateway, handle.item) : undefined;
  if (handle === undefined || item === undefined || item.connector !== handle.connector) {
    // Also one of another principal or another task (attack A17): nothing is told of it.
    const reason = 'Task not found';
    await recordDenial(gateway, caller, {
      span: gateway.newSpan(),
      method: request.method,
      rule: 'remit:unknown-task',
      reason,
    });
    return { reply: { error: { code: RPC.invalidParams, message: reason } } };
  }
  const { connector, taskId } = handle;
  const known = recallMcpTask(caller, connector, taskId);
  return governCall(gateway, caller, {
    request,
    method: request.method,
    item,
    effect,
    // After a restart they are no longer known: an item that policies read arguments of is denied then.
    args: known?.args ?? {},
    argumentsText: known?.argumentsText ?? '{}',
    params: `"taskId":${JSON.stringify(taskId)}`,
    eraParams,
    name: taskId,
    span: gateway.newSpan(),
  });
}

/** Of one listing, newest first: each is asked for on its own. */
const MOST_LISTED = 16;

/** `tasks/list`, legacy: those that this task made, each decided on and asked for by itself; what other parties have at the server is not. */
export async function listMcpTasks(gateway: Gateway, caller: Caller, request: ClientRequest): Promise<MethodAnswer> {
  if (request.params.cursor !== undefined) return invalidParams('"cursor" is none of this list');
  const listed: string[] = [];
  for (const { connector, taskId } of knownMcpTasks(caller).slice(-MOST_LISTED).reverse()) {
    const handle = gateway.hub.handleOf(caller.task.id, connector, taskId);
    if (handle === undefined || (request.scope !== undefined && request.scope !== connector)) continue;
    const one = { ...request, method: 'tasks/get', params: { taskId: handle } };
    const { reply, recordOutcome } = await getMcpTask(gateway, caller, one);
    recordOutcome?.();
    if ('resultText' in reply) listed.push(reply.resultText);
  }
  return listAnswer(request, `"tasks":[${listed.join(',')}]`);
}
