import { isJsonObject } from '../domain/json.ts';
import type { GovernedTool } from '../domain/tool.ts';
import { withoutHidden } from '../domain/visible-text.ts';

/**
 * A tool's definition as JSON text for clients, under the gateway's own name. Only the members that calling needs: any other, such as
 * `Name` (which some decoders take for `name`), `icons` (addresses that a client would fetch) or `_meta`, is the server's word to the
 * client past the gateway. A member of another type than MCP's is left out, as clients refuse a whole list for one of them.
 * @throws when it is nested too deep to be written out
 */
export function renderDefinition({ definition, exposedName }: GovernedTool): string {
  const { title, description, inputSchema, outputSchema, annotations } = definition.raw;
  return JSON.stringify({
    name: exposedName,
    ...(typeof title === 'string' && { title: withoutHidden(title) }),
    ...(typeof description === 'string' && { description: withoutHidden(description) }),
    inputSchema: isObjectSchema(inputSchema) ? cleaned(inputSchema) : { type: 'object' },
    ...(isObjectSchema(outputSchema) && { outputSchema: cleaned(outputSchema) }),
    ...(isJsonObject(annotations) && { annotations: cleaned(annotations) }),
  });
}

const isObjectSchema = (schema: unknown): boolean => isJsonObject(schema) && schema.type === 'object';

/** Texts are cleaned wherever they stand; names of members are not, because they are names of arguments. */
function cleaned(value: unknown): unknown {
  if (typeof value === 'string') return withoutHidden(value);
  if (Array.isArray(value)) return value.map(cleaned);
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, cleaned(member)]));
}
