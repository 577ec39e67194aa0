import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { ClientRequest, MethodAnswer } from '../client-request.ts';
import type { Gateway } from '../gateway.ts';
import { governCall } from '../pipeline.ts';
import type { Caller } from '../stages/authenticate.ts';
import { namedOperation } from './named-operation.ts';
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
  const operation = namedOperation(gateway, caller, request, 'prompt', name, args);
  return 'answer' in operation ? operation.answer : governCall(gateway, caller, operation);
}

/** MCP: arguments of a prompt are texts. */
export function isTexts(value: unknown): value is Readonly<Record<string, string>> {
  return isJsonObject(value) && Object.values(value).every((text) => typeof text === 'string');
}
