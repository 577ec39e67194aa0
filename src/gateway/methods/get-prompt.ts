import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { ClientRequest, MethodAnswer } from '../client-request.ts';
import type { Gateway } from '../gateway.ts';
import { governCall } from '../pipeline.ts';
import type { Caller } from '../stages/authenticate.ts';
import { isUnresolved, refuseUnresolved, resolveNamed } from '../stages/resolve.ts';
import { eraParamsOf } from './call-tool.ts';
import { invalidParams } from './results.ts';

const NO_ARGUMENTS: JsonObject = {};

/** `prompts/get` */
export function getPrompt(
  gateway: Gateway,
  caller: Caller,
  request: ClientRequest,
): MethodAnswer | Promise<MethodAnswer> {
  const { name, arguments: args = NO_ARGUMENTS } = request.params;
  if (typeof name !== 'string') return invalidParams('"name" must be a string');
  if (!isTexts(args)) return invalidParams('"arguments" must be an object of strings');
  const item = resolveNamed(gateway, 'prompt', name, request);
  if (isUnresolved(item)) return refuseUnresolved(gateway, caller, request.method, item);
  const eraParams = eraParamsOf(gateway, caller, item.connector, request);
  if (typeof eraParams !== 'string') return eraParams;
  const argumentsText = JSON.stringify(args);
  return governCall(gateway, caller, {
    request,
    method: 'prompts/get',
    item,
    effect: 'call',
    args,
    argumentsText,
    params: `"name":${JSON.stringify(item.name)},"arguments":${argumentsText}`,
    eraParams,
    name: item.name,
    span: gateway.newSpan(),
  });
}

/** MCP: arguments of a prompt are texts. */
export function isTexts(value: unknown): value is Readonly<Record<string, string>> {
  return isJsonObject(value) && Object.values(value).every((text) => typeof text === 'string');
}
