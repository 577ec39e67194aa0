import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import { inputMembers } from '../bridge/request-state.ts';
import type { ClientRequest, MethodAnswer } from '../client-request.ts';
import type { Gateway } from '../gateway.ts';
import { governCall } from '../pipeline.ts';
import type { Caller } from '../stages/authenticate.ts';
import { isUnresolved, refuseUnresolved, resolveNamed } from '../stages/resolve.ts';
import { rememberMcpTask } from './known-mcp-tasks.ts';
import { invalidParams } from './results.ts';

const NO_ARGUMENTS: JsonObject = {};

/** `tools/call` */
export function callTool(
  gateway: Gateway,
  caller: Caller,
  request: ClientRequest,
): MethodAnswer | Promise<MethodAnswer> {
  const { name, arguments: args = NO_ARGUMENTS } = request.params;
  if (typeof name !== 'string') return invalidParams('"name" must be a string');
  if (!isJsonObject(args)) return invalidParams('"arguments" must be an object');
  const item = resolveNamed(gateway, 'tool', name, request);
  if (isUnresolved(item)) return refuseUnresolved(gateway, caller, request.method, item);
  const eraParams = eraParamsOf(gateway, caller, item.connector, request);
  if (typeof eraParams !== 'string') return eraParams;
  const argumentsText = JSON.stringify(args);
  const operation = {
    request,
    method: 'tools/call',
    item,
    effect: 'call',
    args,
    argumentsText,
    params: `"name":${JSON.stringify(item.name)},"arguments":${argumentsText}`,
    eraParams,
    name: item.name,
    span: gateway.newSpan(),
  } as const;
  const governed = governCall(gateway, caller, operation);
  const mayBeMcpTask = eraParams !== '' || request.capabilities.extensions !== undefined;
  return mayBeMcpTask ? rememberMcpTask(caller, operation, governed) : governed;
}

/** What goes on only to a connector of the client's own era: a modern retry's answers and state, a legacy call's wish to be an McpTask. */
export function eraParamsOf(
  gateway: Gateway,
  caller: Caller,
  connector: Parameters<typeof inputMembers>[2],
  request: ClientRequest,
): string | MethodAnswer {
  const { requestState, inputResponses, task } = request.params;
  if (request.era === 'modern') {
    if (requestState === undefined && inputResponses === undefined) return '';
    const members = inputMembers(gateway.sealer, caller, connector, request);
    return typeof members === 'string' ? members : { reply: members };
  }
  if (task === undefined || request.method !== 'tools/call') return '';
  if (!isJsonObject(task) || (task.ttl !== undefined && typeof task.ttl !== 'number')) {
    return invalidParams('"task" must be an object whose "ttl" is a number');
  }
  return task.ttl === undefined ? ',"task":{}' : `,"task":{"ttl":${task.ttl}}`;
}
