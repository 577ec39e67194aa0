import { isJsonObject, type JsonObject } from '../domain/json.ts';
import type { ClientMessage } from './client-message.ts';

/** Methods whose request is about one named thing, and the parameter that names it. */
const NAMED_BY: ReadonlyMap<string, string> = new Map([
  ['tools/call', 'name'],
  ['prompts/get', 'name'],
  ['resources/read', 'uri'],
  ['tasks/get', 'taskId'],
  ['tasks/update', 'taskId'],
  ['tasks/cancel', 'taskId'],
]);
/** What may stand in a header as it is: RFC 9110 §5.5 without obs-text, and not in need of trimming. */
const PLAIN = /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/;
const ENCODED = /^=\?base64\?.*\?=$/s;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const MOST_TOOLS = 5_000;
const MOST_LEVELS = 16;

/** Value of an `Mcp-*` header (2026-07-28, basic/transports): as it is where that is safe, else its UTF-8 in base64. */
export function headerValue(text: string): string {
  if (PLAIN.test(text) && !ENCODED.test(text)) return text;
  return `=?base64?${Buffer.from(text, 'utf8').toString('base64')}?=`;
}

interface Marked {
  readonly header: string;
  readonly path: readonly string[];
}

/**
 * The headers that a modern request needs over HTTP and a client over stdio does not write. Those for arguments follow from the tools'
 * schemas (`x-mcp-header`), which are learnt from the lists that pass.
 */
export class ModernHeaders {
  readonly #marked = new Map<string, readonly Marked[]>();
  #hasLearnt = false;

  /** Whether a list of tools has been seen. */
  get hasLearnt(): boolean {
    return this.#hasLearnt;
  }

  /** @param result of `tools/list` */
  learn(result: unknown): void {
    const tools = isJsonObject(result) && Array.isArray(result.tools) ? (result.tools as unknown[]) : undefined;
    if (tools === undefined) return;
    this.#hasLearnt = true;
    for (const tool of tools) {
      if (!isJsonObject(tool) || typeof tool.name !== 'string' || this.#marked.size >= MOST_TOOLS) continue;
      const found: Marked[] = [];
      collect(tool.inputSchema, [], found);
      this.#marked.set(tool.name, found);
    }
  }

  of({ method = '', params, modernVersion = '' }: ClientMessage): Record<string, string> {
    const headers: Record<string, string> = {
      'mcp-protocol-version': modernVersion,
      'mcp-method': headerValue(method),
    };
    const name = params[NAMED_BY.get(method) ?? ''];
    if (typeof name !== 'string') return headers;
    headers['mcp-name'] = headerValue(name);
    if (method !== 'tools/call') return headers;
    for (const { header, path } of this.#marked.get(name) ?? []) {
      const value = valueAt(params.arguments, path);
      if (['string', 'number', 'boolean'].includes(typeof value)) headers[header] = headerValue(String(value));
    }
    return headers;
  }
}

function collect(schema: unknown, path: readonly string[], found: Marked[]): void {
  if (!isJsonObject(schema) || !isJsonObject(schema.properties) || path.length === MOST_LEVELS) return;
  for (const [key, property] of Object.entries(schema.properties as JsonObject)) {
    if (!isJsonObject(property)) continue;
    const name = property['x-mcp-header'];
    if (typeof name === 'string' && TOKEN.test(name)) {
      found.push({ header: `mcp-param-${name.toLowerCase()}`, path: [...path, key] });
    }
    collect(property, [...path, key], found);
  }
}

function valueAt(args: unknown, path: readonly string[]): unknown {
  let value = args;
  for (const key of path) {
    if (!isJsonObject(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}
