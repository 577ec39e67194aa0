import { RPC } from '../../domain/era.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';

/** One JSON-RPC message from a client. */
export type ClientMessage =
  | { readonly kind: 'request'; readonly id: string | number; readonly method: string; readonly params: JsonObject }
  | { readonly kind: 'notification'; readonly method: string; readonly params: JsonObject }
  | { readonly kind: 'response'; readonly id: string | number | null; readonly message: JsonObject };

export interface MessageProblem {
  readonly rpcCode: number;
  readonly reason: string;
  readonly id: string | number | null;
}

const NO_PARAMS: JsonObject = {};

/** Checks the shape of one message, of whatever era, that `parseStrictJson` has parsed. */
export function readMessage(body: unknown): ClientMessage | { readonly problem: MessageProblem } {
  if (!isJsonObject(body) || body.jsonrpc !== '2.0') {
    return problem(RPC.invalidRequest, 'not a JSON-RPC 2.0 message: an object with "jsonrpc": "2.0" is expected', null);
  }
  const { method } = body;
  const id = idOf(body);
  if (method === undefined && ('result' in body || 'error' in body)) return { kind: 'response', id, message: body };
  if (typeof method !== 'string') return problem(RPC.invalidRequest, '"method" must be a string', id);
  const params = body.params ?? NO_PARAMS;
  if (!isJsonObject(params) || body.params === null) {
    return problem(RPC.invalidParams, '"params" must be an object', id);
  }
  if (!('id' in body)) return { kind: 'notification', method, params };
  if (id === null) return problem(RPC.invalidRequest, '"id" must be a string or a number', null);
  return { kind: 'request', id, method, params };
}

/** The id that an answer to this body carries, whatever else is wrong with it; null where there is none. */
export function idOf(body: unknown): string | number | null {
  if (!isJsonObject(body)) return null;
  return typeof body.id === 'string' || typeof body.id === 'number' ? body.id : null;
}

function problem(rpcCode: number, reason: string, id: MessageProblem['id']): { problem: MessageProblem } {
  return { problem: { rpcCode, reason, id } };
}
