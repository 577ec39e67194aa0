import type { IncomingHttpHeaders } from 'node:http';
import { isJsonObject } from '../../../domain/json.ts';
import { looksSecret, type ToolDefinition } from '../../../domain/tool.ts';
import { decodeHeaderValue } from '../header-value.ts';

/** An argument that a tool's `inputSchema` marks with `x-mcp-header`: clients repeat it as a header. */
export interface ParamHeader {
  /** Without `Mcp-Param-`, as the server wrote it. */
  readonly name: string;
  /** `mcp-param-` and the name, lower case. */
  readonly header: string;
  /** Names of members from the arguments down. */
  readonly path: readonly string[];
  /** It repeats what may be a secret: clients are not told to, and it does not go on to the connector (attack A15). */
  readonly isSecret: boolean;
}

/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const MOST_LEVELS = 16;
const NONE: readonly ParamHeader[] = [];

const known = new WeakMap<ToolDefinition, readonly ParamHeader[]>();

/**
 * The arguments of a tool that have headers: marked properties that are reached through `properties` alone. None where two share a name,
 * as the definition is then invalid and conforming clients do not use it. Found once a definition.
 */
export function paramHeadersOf(definition: ToolDefinition): readonly ParamHeader[] {
  let found = known.get(definition);
  if (found === undefined) {
    const all: ParamHeader[] = [];
    collect(definition.raw.inputSchema, [], all);
    const isAmbiguous = new Set(all.map(({ header }) => header)).size !== all.length;
    found = all.length === 0 || isAmbiguous ? NONE : all;
    known.set(definition, found);
  }
  return found;
}

function collect(schema: unknown, path: readonly string[], found: ParamHeader[]): void {
  if (!isJsonObject(schema) || !isJsonObject(schema.properties) || path.length === MOST_LEVELS) return;
  for (const [key, property] of Object.entries(schema.properties)) {
    if (!isJsonObject(property)) continue;
    const at = [...path, key];
    const name = property['x-mcp-header'];
    if (typeof name === 'string' && TOKEN.test(name)) {
      found.push({ name, header: `mcp-param-${name.toLowerCase()}`, path: at, isSecret: at.some(looksSecret) });
    }
    collect(property, at, found);
  }
}

/**
 * Compares the `Mcp-Param-*` headers with the arguments they repeat, whatever the type: an intermediary may have acted on the header, we
 * act on the body (attack A13, fault 35). An argument that is there needs its header, and a header its argument. Headers that the tool
 * does not declare say nothing to us: they are ignored, and none goes on to the connector.
 * @returns what disagrees, or undefined
 */
export function findParamMismatch(
  declared: readonly ParamHeader[],
  args: unknown,
  headers: IncomingHttpHeaders,
): string | undefined {
  for (const { name, header, path, isSecret } of declared) {
    const said = headers[header] as string | undefined;
    const text = textOf(valueAt(args, path));
    if (text === undefined) {
      if (said !== undefined) return `header Mcp-Param-${name} is given and its argument ${path.join('.')} is not`;
      continue;
    }
    if (said === undefined) {
      if (isSecret) continue;
      return `header Mcp-Param-${name} is missing`;
    }
    const decoded = decodeHeaderValue(said);
    if (decoded === undefined) return `header Mcp-Param-${name} is not valid base64`;
    if (decoded !== text && !isSameNumber(decoded, valueAt(args, path))) {
      return `header Mcp-Param-${name} differs from the argument ${path.join('.')}`;
    }
  }
  return undefined;
}

function valueAt(args: unknown, path: readonly string[]): unknown {
  let value = args;
  for (const key of path) {
    if (!isJsonObject(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}

/** How a value stands in a header; undefined for one that has none: null, absent, a list or an object. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

/** The specification compares numbers as such: `42.0` is 42. */
function isSameNumber(text: string, value: unknown): boolean {
  return typeof value === 'number' && /^-?\d+(\.\d+)?$/.test(text) && Number(text) === value;
}
