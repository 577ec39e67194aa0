import type { IncomingHttpHeaders } from 'node:http';
import { isJsonObject } from '../../domain/json.ts';
import { parseStrictJson } from './strict-json.ts';

/** One JSON-RPC message from a client. */
export type ClientMessage =
  | { readonly kind: 'request'; readonly id: string | number; readonly method: string; readonly params: Params }
  | { readonly kind: 'notification'; readonly method: string }
  | { readonly kind: 'response' };

export type Params = Readonly<Record<string, unknown>>;

export interface MessageProblem {
  readonly rpcCode: number;
  readonly reason: string;
  readonly id: string | number | null;
  readonly data?: object;
}

/** Revisions that the edge speaks, newest first. */
export const PROTOCOL_VERSIONS = ['2025-11-25', '2025-06-18', '2025-03-26'] as const;

const UNSUPPORTED_PROTOCOL_VERSION = -32022;
const HEADER_MISMATCH = -32020;

/** Parses and checks one message; a header that says otherwise than the body is refused (guarantee D4). */
export function readMessage(text: string, headers: IncomingHttpHeaders): ClientMessage | { problem: MessageProblem } {
  const parsed = parseStrictJson(text);
  if ('problem' in parsed) return problem(-32700, `the body cannot be accepted: ${parsed.problem}`, null);
  const message = parsed.value;
  if (Array.isArray(message))
    return problem(-32600, 'JSON-RPC batches are not supported; send one message a request', null);
  if (!isJsonObject(message) || message.jsonrpc !== '2.0') {
    return problem(-32600, 'not a JSON-RPC 2.0 message: an object with "jsonrpc": "2.0" is expected', null);
  }
  const id = typeof message.id === 'string' || typeof message.id === 'number' ? message.id : null;
  if (message.method === undefined && ('result' in message || 'error' in message)) return { kind: 'response' };
  if (typeof message.method !== 'string') return problem(-32600, '"method" must be a string', id);
  if (message.params !== undefined && !isJsonObject(message.params))
    return problem(-32602, '"params" must be an object', id);
  const params = message.params ?? {};

  const mismatch = findMismatch(message.method, params, headers);
  if (mismatch !== undefined) return problem(HEADER_MISMATCH, mismatch, id);
  const version = headers['mcp-protocol-version'];
  if (version !== undefined && !PROTOCOL_VERSIONS.includes(version as (typeof PROTOCOL_VERSIONS)[number])) {
    return problem(
      UNSUPPORTED_PROTOCOL_VERSION,
      `protocol version ${String(version).slice(0, 40)} is not supported`,
      id,
      {
        supported: PROTOCOL_VERSIONS,
        requested: version,
      },
    );
  }
  if (!('id' in message)) return { kind: 'notification', method: message.method };
  if (id === null) return problem(-32600, '"id" must be a string or a number', null);
  return { kind: 'request', id, method: message.method, params };
}

/** `Mcp-Method` and `Mcp-Name` are not required before 2026-07-28, but where they are sent they must tell the truth. */
function findMismatch(method: string, params: Params, headers: IncomingHttpHeaders): string | undefined {
  const saidMethod = headers['mcp-method'];
  if (saidMethod !== undefined && saidMethod !== method) return 'header Mcp-Method differs from the body’s method';
  const saidName = headers['mcp-name'];
  if (saidName === undefined) return undefined;
  const name = params.name ?? params.uri ?? params.taskId;
  return decodeHeader(String(saidName)) === name ? undefined : 'header Mcp-Name differs from the body’s name';
}

/** 2026-07-28: values unsafe in a header are sent as `=?base64?…?=`. */
function decodeHeader(value: string): string {
  const encoded = /^=\?base64\?([A-Za-z0-9+/=]*)\?=$/.exec(value);
  return encoded ? Buffer.from(encoded[1] as string, 'base64').toString('utf8') : value;
}

function problem(
  rpcCode: number,
  reason: string,
  id: MessageProblem['id'],
  data?: object,
): { problem: MessageProblem } {
  return { problem: { rpcCode, reason, id, ...(data && { data }) } };
}
