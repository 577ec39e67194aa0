import { META, MODERN_VERSION } from '../../domain/era.ts';
import { isJsonObject, isLargeAndDeep, type JsonObject } from '../../domain/json.ts';
import type { ClientAnswer, ErrorReply, RpcError, SmallResult, UpstreamCall } from '../../seams/upstream.ts';

/** JSON-RPC 2.0 at the wire level: what we write, and what we make of what a server writes. Pure. */

let lastId = 0;

/** An id that no other request of this process has had: a reply can be matched to one request only (guarantee I1). */
export function nextRequestId(): number {
  lastId += 1;
  return lastId;
}

/**
 * Characters that some line readers take for the end of a line: CR and LF, but also NEL (Python's `splitlines`) and
 * U+2028/U+2029 (Node's `readline`).
 */
const LINE_BREAKS = /[\n\r\u0085\u2028\u2029]/g;
const HAS_LINE_BREAK = /[\n\r\u0085\u2028\u2029]/;

/**
 * Makes JSON text safe for a transport that ends messages at line breaks, without changing its value. Inside a JSON text
 * a raw CR or LF can only be white space, and the other three can only stand inside a string (RFC 8259 §2, §7). Left
 * alone, an argument could carry a whole second message past the decision that was made on the first (guarantee D4).
 */
export function onOneLine(json: string): string {
  if (!HAS_LINE_BREAK.test(json)) return json;
  return json.replace(LINE_BREAKS, (found) =>
    found === '\n' || found === '\r' ? ' ' : `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Text of one request. `params` is JSON text and goes in as it is. */
export function requestText(id: number, method: string, params: string): string {
  return `{"jsonrpc":"2.0","id":${id},"method":${JSON.stringify(method)},"params":${params}}`;
}

/** What of a call goes into `params`. */
type CallParams = Pick<UpstreamCall, 'params' | 'meta' | 'progressToken' | 'logLevel'>;

/**
 * `params` of a call: its own members, and in `_meta` what the gateway sends, the call's progress token and the era's members.
 * @param eraMeta of `modernMeta`; empty in the legacy era, where the log level is the connection's and not the request's
 */
export function paramsText({ params, meta, progressToken, logLevel }: CallParams, eraMeta: string): string {
  let members = meta;
  if (eraMeta !== '') {
    members = members === '' ? eraMeta : `${members},${eraMeta}`;
    if (logLevel !== undefined) members += `,"${META.logLevel}":${JSON.stringify(logLevel)}`;
  }
  if (progressToken !== undefined) {
    const token = `"progressToken":${JSON.stringify(progressToken)}`;
    members = members === '' ? token : `${members},${token}`;
  }
  if (members === '') return `{${params}}`;
  return params === '' ? `{"_meta":{${members}}}` : `{${params},"_meta":{${members}}}`;
}

/** Members of `_meta` that every modern request carries (2026-07-28, basic): written once a connection. */
export function modernMeta(clientInfo: { name: string; version: string }, clientCapabilities: JsonObject): string {
  return JSON.stringify({
    [META.protocolVersion]: MODERN_VERSION,
    [META.clientCapabilities]: clientCapabilities,
    [META.clientInfo]: { name: clientInfo.name, version: clientInfo.version },
  }).slice(1, -1);
}

/** @param params members, without braces, as in `UpstreamCall` */
export function notificationText(method: string, params = ''): string {
  return `{"jsonrpc":"2.0","method":${JSON.stringify(method)}${params === '' ? '' : `,"params":{${params}}`}}`;
}

/** MCP basic/utilities/cancellation. Never sent for `initialize`, which must not be cancelled. */
export function cancellationText(requestId: number, reason: string): string {
  return notificationText('notifications/cancelled', `"requestId":${requestId},"reason":${JSON.stringify(reason)}`);
}

/** Answer to a request of the server. */
export function answerText(id: string | number, answer: ClientAnswer): string {
  return JSON.stringify({ jsonrpc: '2.0', id, ...answer });
}

/** Our own answer to a request of the server that no client is asked about: `ping` is answered, nothing else is offered. */
export function ownAnswer(method: string): ClientAnswer {
  if (method === 'ping') return { result: {} };
  return { error: { code: -32601, message: 'Method not found: this client does not offer it here' } };
}

/** A reply that one message holds whole. */
export type WholeReply = SmallResult | ErrorReply;

export type Incoming =
  | { readonly kind: 'reply'; readonly id: number; readonly reply: WholeReply }
  /** A reply to a request of ours that is not valid JSON-RPC. */
  | { readonly kind: 'malformed_reply'; readonly id: number }
  /** An error that names no request: the server could not read ours. */
  | { readonly kind: 'orphan_error'; readonly error: RpcError }
  | { readonly kind: 'request'; readonly id: string | number; readonly method: string; readonly params: JsonObject }
  | { readonly kind: 'notification'; readonly method: string; readonly params: JsonObject }
  | { readonly kind: 'garbage' };

const NO_PARAMS: JsonObject = Object.freeze({});
const GARBAGE: Incoming = { kind: 'garbage' };
const HEAD = /^\{"jsonrpc":"2\.0","id":(\d{1,15}),"result":(?=\{)/;
const TAIL = /,"jsonrpc":"2\.0","id":(\d{1,15})\}$/;
const LEAD = '{"result":';
const LONGEST_TAIL = 48;
/** Levels of a large message; no server that means well comes near. */
const DEEPEST = 1_000;
/** Shorter messages cannot be nested deep enough to matter. */
const SCANNED_FROM = 4_096;

/**
 * Where `result` stands in a reply that is written in one of the two usual orders. Only a guess: it holds if and only if
 * the cut text parses as JSON on its own, because then nothing else (a second `result`, say) can hide in it.
 */
function guessResult(text: string): { id: number; resultText: string } | undefined {
  const head = HEAD.exec(text);
  if (head !== null && text.endsWith('}')) return { id: Number(head[1]), resultText: text.slice(head[0].length, -1) };
  if (!text.startsWith(LEAD)) return undefined;
  const tail = TAIL.exec(text.slice(-LONGEST_TAIL));
  return tail === null ? undefined : { id: Number(tail[1]), resultText: text.slice(LEAD.length, -tail[0].length) };
}

function parseOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Reads one message. Usually one `JSON.parse`, of the result alone; its text is then cut out of what was received. */
export function readMessage(text: string): Incoming {
  if (isLargeAndDeep(text, DEEPEST)) return GARBAGE;
  const guess = guessResult(text);
  if (guess !== undefined) {
    const result = parseOrUndefined(guess.resultText);
    if (isJsonObject(result)) return { kind: 'reply', id: guess.id, reply: { result, resultText: guess.resultText } };
  }
  const message = parseOrUndefined(text);
  if (!isJsonObject(message) || message.jsonrpc !== '2.0') return GARBAGE;
  const incoming = classify(message);
  const isTooDeep = 'params' in incoming && text.length > SCANNED_FROM && isDeeper(incoming.params, DEEPEST);
  return isTooDeep ? GARBAGE : incoming;
}

/** What a server says is written again, toward the client: nested too deep, that would overflow the stack. */
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((member) => isDeeper(member, levels - 1));
}

function classify(message: JsonObject): Incoming {
  const { id, method, params = NO_PARAMS } = message;
  if (typeof method === 'string') {
    if (!isJsonObject(params)) return GARBAGE;
    if (id === undefined) return { kind: 'notification', method, params };
    const isUsable = typeof id === 'number' || (typeof id === 'string' && id.length <= 256);
    return isUsable ? { kind: 'request', id, method, params } : GARBAGE;
  }
  const reply = replyOf(message);
  if (typeof id === 'number')
    return reply === undefined ? { kind: 'malformed_reply', id } : { kind: 'reply', id, reply };
  const isOrphan = (id === null || id === undefined) && reply !== undefined && 'error' in reply;
  return isOrphan ? { kind: 'orphan_error', error: reply.error } : GARBAGE;
}

function replyOf({ result, error }: JsonObject): WholeReply | undefined {
  if (isJsonObject(result) && error === undefined) {
    try {
      return { result, resultText: JSON.stringify(result) };
    } catch {
      return undefined; // nested too deep to be written again
    }
  }
  if (result !== undefined || !isJsonObject(error)) return undefined;
  const { code, message, data } = error;
  if (typeof code !== 'number' || typeof message !== 'string') return undefined;
  return { error: { code, message, ...(data === undefined ? {} : { data }) } };
}
