import { RPC } from '../../domain/era.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import type { ClientRequest, MethodAnswer } from '../client-request.ts';
import type { Gateway } from '../gateway.ts';
import { governCall } from '../pipeline.ts';
import type { Caller } from '../stages/authenticate.ts';
import { isUnresolved, refuseUnresolved, resolveNamed, type Unresolved } from '../stages/resolve.ts';
import { isTexts } from './get-prompt.ts';
import { invalidParams } from './results.ts';

/** `completion/complete`: decided on as a call on the prompt or resource that it completes, with what has been written so far. */
export function complete(
  gateway: Gateway,
  caller: Caller,
  request: ClientRequest,
): MethodAnswer | Promise<MethodAnswer> {
  const { ref, argument, context } = request.params;
  if (!isJsonObject(ref)) return invalidParams('"ref" must be an object');
  if (!isJsonObject(argument) || typeof argument.name !== 'string' || typeof argument.value !== 'string') {
    return invalidParams('"argument" must have a "name" and a "value", both strings');
  }
  const written = isJsonObject(context) ? (context.arguments ?? {}) : {};
  if (!isTexts(written)) return invalidParams('"context.arguments" must be an object of strings');

  const item = resolve(gateway, ref, request);
  if ('code' in item) return { reply: { error: item } };
  if (isUnresolved(item)) return refuseUnresolved(gateway, caller, request.method, item);
  const args =
    item.kind === 'resource' ? { uri: ref.uri } : { ...startOf(item), ...written, [argument.name]: argument.value };
  const own =
    item.kind === 'resource' ? { type: 'ref/resource', uri: ref.uri } : { type: 'ref/prompt', name: item.name };
  const { name, value } = argument;
  return governCall(gateway, caller, {
    request,
    method: 'completion/complete',
    item,
    effect: 'call',
    args,
    argumentsText: JSON.stringify({ ...args, argument: { name, value } }),
    params:
      `"ref":${JSON.stringify(own)},"argument":${JSON.stringify({ name, value })}` +
      (context === undefined ? '' : `,"context":{"arguments":${JSON.stringify(written)}}`),
    eraParams: '',
    name: item.name,
    span: gateway.newSpan(),
  });
}

/** Arguments that nothing has been written of yet: policies read them as empty texts. */
function startOf({ profile }: GovernedTool): JsonObject {
  const required = profile?.criticalArguments.filter((one) => one.required) ?? [];
  return Object.fromEntries(required.map(({ name }) => [name, '']));
}

function resolve(
  gateway: Gateway,
  ref: JsonObject,
  request: ClientRequest,
): GovernedTool | Unresolved | { readonly code: number; readonly message: string } {
  if (ref.type === 'ref/prompt' && typeof ref.name === 'string') {
    return resolveNamed(gateway, 'prompt', ref.name, request);
  }
  if (ref.type === 'ref/resource' && typeof ref.uri === 'string') return resolveTemplate(gateway, ref.uri, request);
  return { code: RPC.invalidParams, message: '"ref" must be a ref/prompt with a name or a ref/resource with a uri' };
}

/** The described resource that a listed template belongs to. */
function resolveTemplate({ catalogue }: Gateway, text: string, { scope }: ClientRequest): GovernedTool | Unresolved {
  const found = catalogue
    .templates()
    .filter(({ connector, raw, item }) => {
      return raw.uriTemplate === text && item !== undefined && (scope === undefined || connector === scope);
    })
    .map(({ item }) => item as GovernedTool);
  if (new Set(found.map(({ connector }) => connector)).size > 1) {
    const paths = found.map(({ connector }) => `/mcp/${connector}`).join(' or ');
    const message = `Several connectors have this template: use the path of the one you mean, ${paths}`;
    return { rule: 'remit:ambiguous', error: { code: RPC.invalidParams, message } };
  }
  const [item] = found;
  if (item !== undefined) return item;
  const message = 'Unknown resource template. Ask resources/templates/list for them.';
  return { rule: 'remit:unknown-resource', error: { code: RPC.invalidParams, message } };
}
