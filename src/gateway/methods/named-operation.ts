import type { JsonObject } from '../../domain/json.ts';
import type { ClientRequest, MethodAnswer } from '../client-request.ts';
import type { Gateway } from '../gateway.ts';
import type { Operation } from '../operation.ts';
import type { Caller } from '../stages/authenticate.ts';
import { isUnresolved, refuseUnresolved, resolveNamed } from '../stages/resolve.ts';
import { eraParamsOf } from './era-params.ts';

/** Why there is nothing to govern. */
export interface Answered {
  readonly answer: MethodAnswer | Promise<MethodAnswer>;
}

/** What is asked of a tool or a prompt by its name, with arguments: as it is decided on, and sent under the item's own name. */
export function namedOperation(
  gateway: Gateway,
  caller: Caller,
  request: ClientRequest,
  kind: 'tool' | 'prompt',
  name: string,
  args: JsonObject,
): Operation | Answered {
  const item = resolveNamed(gateway, kind, name, request);
  if (isUnresolved(item)) return { answer: refuseUnresolved(gateway, caller, request.method, item) };
  const eraParams = eraParamsOf(gateway, caller, item.connector, request);
  if (typeof eraParams !== 'string') return { answer: eraParams };
  const argumentsText = JSON.stringify(args);
  return {
    request,
    method: request.method,
    item,
    effect: 'call',
    args,
    argumentsText,
    params: `"name":${JSON.stringify(item.name)},"arguments":${argumentsText}`,
    eraParams,
    name: item.name,
    span: gateway.newSpan(),
  };
}
