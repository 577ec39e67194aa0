import { isJsonObject, type JsonObject } from '../domain/json.ts';
import { type GovernedTool, looksSecret } from '../domain/tool.ts';
import { withoutHidden, withoutHiddenWithin } from '../domain/visible-text.ts';
import { isNetworkReference, isUnsafePattern } from './inspect-definition.ts';

/**
 * A tool's definition as JSON text for clients, under the name they see it by. Only the members that calling needs: any other, such as
 * `Name` (which some decoders take for `name`), `icons` (addresses that a client would fetch) or `_meta`, is the server's word to the
 * client past the gateway. A member of another type than MCP's is left out, as clients refuse a whole list for one of them.
 * @throws when it is nested too deep to be written out
 */
export function renderDefinition({ definition, exposedName }: GovernedTool, name = exposedName): string {
  const { title, description, inputSchema, outputSchema, annotations, execution } = definition.raw;
  const taskSupport = isJsonObject(execution) ? execution.taskSupport : undefined;
  return JSON.stringify({
    name,
    ...texts({ title, description }),
    inputSchema: isObjectSchema(inputSchema) ? cleanSchema(inputSchema, false) : { type: 'object' },
    ...(isObjectSchema(outputSchema) && { outputSchema: cleanSchema(outputSchema, false) }),
    ...(isJsonObject(annotations) && { annotations: withoutHiddenWithin(annotations) }),
    ...(TASK_SUPPORT.has(taskSupport) && { execution: { taskSupport } }),
  });
}

/** MCP `Prompt`, as `renderDefinition`. */
export function renderPrompt({ definition, exposedName }: GovernedTool, name = exposedName): string {
  const { title, description, arguments: given } = definition.raw;
  const args = Array.isArray(given) ? given.filter((one) => isJsonObject(one) && typeof one.name === 'string') : [];
  return JSON.stringify({
    name,
    ...texts({ title, description }),
    ...(args.length > 0 && {
      arguments: args.map((one: JsonObject) => ({
        // The name is what the server knows it by.
        name: one.name,
        ...texts({ title: one.title, description: one.description }),
        ...(typeof one.required === 'boolean' && { required: one.required }),
      })),
    }),
  });
}

/** MCP `ResourceTemplate`, as `renderDefinition`; undefined for what is none. */
export function renderTemplate({
  uriTemplate,
  name,
  title,
  description,
  mimeType,
  annotations,
}: JsonObject): string | undefined {
  if (typeof uriTemplate !== 'string') return undefined;
  return JSON.stringify({
    uriTemplate,
    name: typeof name === 'string' ? withoutHidden(name) : uriTemplate,
    ...texts({ title, description, mimeType }),
    ...(isJsonObject(annotations) && { annotations: withoutHiddenWithin(annotations) }),
  });
}

/** MCP `Resource`, as a server lists it, as `renderDefinition`. */
export function renderResource(
  uri: string,
  { name, title, description, mimeType, size, annotations }: JsonObject,
): string {
  return JSON.stringify({
    uri,
    name: typeof name === 'string' ? withoutHidden(name) : uri,
    ...texts({ title, description, mimeType }),
    ...(typeof size === 'number' && { size }),
    ...(isJsonObject(annotations) && { annotations: withoutHiddenWithin(annotations) }),
  });
}

const TASK_SUPPORT: ReadonlySet<unknown> = new Set(['forbidden', 'optional', 'required']);

const isObjectSchema = (schema: unknown): schema is JsonObject => isJsonObject(schema) && schema.type === 'object';

function texts(members: JsonObject): JsonObject {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(members)) if (typeof value === 'string') kept[name] = withoutHidden(value);
  return kept;
}

/**
 * Texts are cleaned wherever they stand; names of members are not, because they are names of arguments. Left out: what a client's validator
 * would fetch or could be held up with (fault 46), and a header for an argument that carries a secret, or lies in one (attack A15).
 */
function cleanSchema(value: unknown, isSecret: boolean): unknown {
  if (typeof value === 'string') return withoutHidden(value);
  if (Array.isArray(value)) return value.map((item) => cleanSchema(item, isSecret));
  if (!isJsonObject(value)) return value;
  const kept: [string, unknown][] = [];
  for (const [name, member] of Object.entries(value)) {
    if (isNetworkReference(name, member) || isUnsafePattern(name, member)) continue;
    if (isSecret && name === 'x-mcp-header' && typeof member === 'string') continue;
    kept.push([name, cleanSchema(member, isSecret || looksSecret(name))]);
  }
  return Object.fromEntries(kept);
}
