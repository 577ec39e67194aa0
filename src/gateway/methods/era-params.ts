import { isJsonObject } from '../../domain/json.ts';
import { inputMembers } from '../bridge/request-state.ts';
import type { ClientRequest, MethodAnswer } from '../client-request.ts';
import type { Gateway } from '../gateway.ts';
import type { Caller } from '../stages/authenticate.ts';
import { invalidParams } from './results.ts';

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
