import { RemitError } from '../../domain/errors.ts';
import type { CredentialInjection, UpstreamCall } from '../../seams/upstream.ts';

/** What says where a request ends, or whose it is. */
export const FRAMING: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
/** Headers that are ours to write: an injected one of these would change the framing or the session. */
const OURS = new Set([
  ...FRAMING,
  'accept',
  'content-type',
  'last-event-id',
  'mcp-method',
  'mcp-name',
  'mcp-protocol-version',
  'mcp-session-id',
]);
/** field-value of RFC 9110 §5.5: no line breaks, hence no second header and no second request. */
export const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

const BODY_HEADERS = ['content-type', 'application/json', 'accept', 'application/json, text/event-stream'];

/**
 * Headers of every request of a connection, as undici takes them: name, value, name, value.
 * @throws `ERR_CREDENTIAL_ISSUE` where an injected header cannot be sent; its value is not in the message
 */
export function connectionHeaders(injection: CredentialInjection, where: string): string[] {
  const headers = [...BODY_HEADERS];
  for (const [name, secret] of Object.entries(injection.headers)) {
    const value = secret.reveal();
    const lowered = name.toLowerCase();
    if (OURS.has(lowered) || lowered.startsWith('mcp-param-') || !FIELD_VALUE.test(value)) {
      throw new RemitError('ERR_CREDENTIAL_ISSUE', `The credential cannot be sent in the header ${name}`, {
        where,
        hint: 'Inject into a header that is not part of HTTP framing or of MCP, and a value without line breaks.',
      });
    }
    headers.push(name, value);
  }
  return headers;
}

/** Headers of a GET for an event stream. @param common of the connection, as `connectionHeaders` began them */
export function streamHeaders(common: readonly string[], lastEventId?: string): string[] {
  const headers = ['accept', 'text/event-stream', ...common.slice(BODY_HEADERS.length)];
  if (lastEventId !== undefined) headers.push('last-event-id', lastEventId);
  return headers;
}

/** What may stand in a header as it is: RFC 9110 §5.5 without obs-text, and not in need of trimming. */
const PLAIN = /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/;
const ENCODED = /^=\?base64\?.*\?=$/s;

/** Value of an `Mcp-*` header (2026-07-28, basic/transports): as it is where that is safe, else its UTF-8 in base64. */
export function headerValue(text: string): string {
  if (PLAIN.test(text) && !ENCODED.test(text)) return text;
  return `=?base64?${Buffer.from(text, 'utf8').toString('base64')}?=`;
}

/**
 * What the headers of a modern request hold beyond those of its connection, written anew from what was decided on, so that they and the body
 * cannot disagree (attack A13).
 */
export function requestHeaders({ method, name, paramHeaders }: NamedRequest): string[] {
  const headers = ['mcp-method', method];
  if (name !== undefined) headers.push('mcp-name', headerValue(name));
  if (paramHeaders === undefined) return headers;
  for (let at = 0; at + 1 < paramHeaders.length; at += 2)
    headers.push(paramHeaders[at] as string, headerValue(paramHeaders[at + 1] as string));
  return headers;
}

type NamedRequest = Pick<UpstreamCall, 'method' | 'name' | 'paramHeaders'>;

/** MCP basic/transports: visible ASCII only. The bound is ours. */
export function isUsableSessionId(value: unknown): value is string {
  return typeof value === 'string' && /^[\x21-\x7e]{1,1024}$/.test(value);
}
