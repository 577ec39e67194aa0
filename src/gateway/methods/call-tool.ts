import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { ClientRequest, MethodAnswer } from '../client-request.ts';
import type { Gateway } from '../gateway.ts';
import { governCall } from '../pipeline.ts';
import type { Caller } from '../stages/authenticate.ts';
import { rememberMcpTask } from './known-mcp-tasks.ts';
import { namedOperation } from './named-operation.ts';
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
  const operation = namedOperation(gateway, caller, request, 'tool', name, args);
  if ('answer' in operation) return operation.answer;
  const governed = governCall(gateway, caller, operation);
  const mayBeMcpTask = operation.eraParams !== '' || request.capabilities.extensions !== undefined;
  return mayBeMcpTask ? rememberMcpTask(caller, operation, governed) : governed;
}
