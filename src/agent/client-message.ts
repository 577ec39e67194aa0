import { META } from '../domain/era.ts';
import { isJsonObject, type JsonObject } from '../domain/json.ts';

/** What relaying needs to know of a line that the client wrote. What it is worth is for the gateway to judge. */
export interface ClientMessage {
  /** `odd`: JSON, but nothing that JSON-RPC knows. */
  readonly kind: 'request' | 'notification' | 'response' | 'batch' | 'odd';
  readonly line: string;
  /** Ids that are to be answered. */
  readonly ids: readonly unknown[];
  readonly method: string | undefined;
  readonly params: JsonObject;
  /** Revision that a modern message names in its envelope; undefined for legacy ones. */
  readonly modernVersion: string | undefined;
}

/** Undefined when the line is no JSON. */
export function readClientMessage(line: string): ClientMessage | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  const none = { line, ids: [], method: undefined, params: {}, modernVersion: undefined };
  if (Array.isArray(value)) {
    const requests = value.filter((one) => isJsonObject(one) && one.method !== undefined && one.id !== undefined);
    return { ...none, kind: 'batch', ids: requests.map((one) => (one as JsonObject).id) };
  }
  if (!isJsonObject(value)) return { ...none, kind: 'odd' };
  const { id, method } = value;
  if (typeof method !== 'string') {
    const isResponse = id !== undefined && (value.result !== undefined || value.error !== undefined);
    return { ...none, kind: isResponse ? 'response' : 'odd', ids: isResponse || id === undefined ? [] : [id] };
  }
  const params = isJsonObject(value.params) ? value.params : {};
  const version = isJsonObject(params._meta) ? params._meta[META.protocolVersion] : undefined;
  const modernVersion = typeof version === 'string' ? version : undefined;
  const kind = id === undefined ? 'notification' : 'request';
  return { line, kind, ids: id === undefined ? [] : [id], method, params, modernVersion };
}
