import type { IncomingHttpHeaders } from 'node:http';
import type { JsonObject } from '../../domain/json.ts';
import { decodeHeaderValue } from './header-value.ts';

/** Methods whose request is about one named thing, and the parameter that names it: what `Mcp-Name` repeats. */
const NAMED_BY: ReadonlyMap<string, 'name' | 'uri' | 'taskId'> = new Map([
  ['tools/call', 'name'],
  ['prompts/get', 'name'],
  ['resources/read', 'uri'],
  ['tasks/get', 'taskId'],
  ['tasks/update', 'taskId'],
  ['tasks/cancel', 'taskId'],
]);

/**
 * Compares `Mcp-Method` and `Mcp-Name` with the body: an intermediary may have acted on the headers, we act on the body (guarantee D4,
 * attack A13, fault 35). They are required in 2026-07-28; where a legacy client sends them, they must tell the truth too.
 * @returns what disagrees, or undefined
 */
export function findNameMismatch(
  method: string,
  params: JsonObject,
  headers: IncomingHttpHeaders,
  areRequired: boolean,
): string | undefined {
  const saidMethod = headers['mcp-method'];
  if (saidMethod === undefined) {
    if (areRequired) return 'header Mcp-Method is missing';
  } else if (saidMethod !== method) return 'header Mcp-Method differs from the body’s method';

  const saidName = headers['mcp-name'] as string | undefined;
  if (saidName === undefined && !areRequired) return undefined;
  const source = NAMED_BY.get(method);
  if (source === undefined) return undefined;
  const name = params[source];
  // A name that is none is refused further on, and says why.
  if (typeof name !== 'string') return undefined;
  if (saidName === undefined) return 'header Mcp-Name is missing';
  if (saidName === name && !saidName.startsWith('=?')) return undefined;
  const decoded = decodeHeaderValue(saidName);
  if (decoded === undefined) return 'header Mcp-Name is not valid base64';
  return decoded === name ? undefined : `header Mcp-Name differs from the body’s ${source}`;
}
