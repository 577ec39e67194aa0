import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { GovernedTool, ToolDefinition } from '../../domain/tool.ts';
import { type ParamHeader, paramHeadersOf, textOf } from '../edge/modern/param-headers.ts';
import type { Gateway } from '../gateway.ts';

const NONE: readonly ParamHeader[] = [];
const safe = new WeakMap<ToolDefinition, readonly ParamHeader[]>();

/**
 * `Mcp-Param-*` for a modern connector, name, value, name, value: made of the arguments that were decided on, by the definition's own
 * annotations; nothing that the client sent in a header goes on (attack A13). An argument whose name says that it carries a secret is not
 * repeated where proxies write it down (attack A15).
 */
export function paramHeadersFor(gateway: Gateway, item: GovernedTool, args: JsonObject): readonly string[] | undefined {
  const { definition } = item;
  let declared = safe.get(definition);
  if (declared === undefined) {
    declared = withoutSecrets(gateway, item);
    safe.set(definition, declared);
  }
  if (declared === NONE) return undefined;
  const headers: string[] = [];
  for (const { name, path } of declared) {
    const text = textOf(valueAt(args, path));
    if (text !== undefined) headers.push(`Mcp-Param-${name}`, text);
  }
  return headers;
}

function withoutSecrets(gateway: Gateway, { ref, definition }: GovernedTool): readonly ParamHeader[] {
  const declared = paramHeadersOf(definition);
  const kept = declared.filter(({ isSecret }) => !isSecret);
  if (kept.length < declared.length) {
    gateway.log.warn(
      { tool: ref },
      'a definition wants a header for an argument that may carry a secret: it gets none',
    );
  }
  return kept.length === 0 ? NONE : kept;
}

function valueAt(args: JsonObject, path: readonly string[]): unknown {
  let value: unknown = args;
  for (const key of path) {
    if (!isJsonObject(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}
