import type { IncomingHttpHeaders } from 'node:http';
import { isOwnHost } from '../../gateway/edge/check-headers.ts';
import type { WholeRequest } from '../../gateway/edge/client-http.ts';

/** A head as it was read last on a connection: clients send the same one again and again, but for the length of the body. */
export interface KnownHead {
  /** The head before the digits of its Content-Length, and behind them up to the body. */
  readonly before: Buffer;
  readonly after: Buffer;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

/** What came so far: a request and the head that it began with, the beginning of one, or what Node's own server should read. */
export type Read = { readonly request: WholeRequest; readonly head: KnownHead } | 'incomplete' | 'other';

/** Beyond these, bytes, Node's server reads it: it bounds what it holds, and measures time. */
const MOST_HEAD = 8 * 1024;
export const MOST_REQUEST = 64 * 1024;

const END = Buffer.from('\r\n\r\n');
/** RFC 9112 section 3, of which one form is read here: no query, and no other method. */
const REQUEST_LINE = /^POST (\/mcp(?:\/[a-z0-9_-]{1,64})?) HTTP\/1\.1$/;
/** RFC 9110 section 5.5, without obs-text, and with names as clients have them; a folded line has no name and is none. */
const FIELD = /^([A-Za-z0-9-]+):[\t ]*([\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?[\t ]*$/;
const LENGTH = /^(?:0|[1-9]\d{0,5})$/;
/** Framing, connection, content and who asks in any other way than a plain one. */
const NOT_HERE: ReadonlySet<string> = new Set([
  'transfer-encoding',
  'expect',
  'upgrade',
  'te',
  'trailer',
  'http2-settings',
  'proxy-connection',
  'content-encoding',
  'origin',
]);

/**
 * Reads a request that is plain in every respect: a POST to the MCP endpoint, every header once and of visible ASCII, a Content-Length and just so many bytes.
 * Nothing is mended or guessed: whatever is not so is `other`, and is Node's to read or to refuse, from its first byte.
 * @param known the head before it on this connection
 * @param hosts names, in lower case, under which this server may be addressed
 */
export function readWholeRequest(bytes: Buffer, known: KnownHead | undefined, hosts: ReadonlySet<string>): Read {
  if (known !== undefined && startsWith(bytes, 0, known.before)) {
    const end = endOfLength(bytes, known.before.length);
    if (end !== -1 && startsWith(bytes, end, known.after)) return wholeOf(bytes, known, end);
  }
  const end = bytes.indexOf(END);
  if (end === -1 || end > MOST_HEAD) return 'other';
  const head = readHead(bytes, end, hosts);
  return head === undefined ? 'other' : wholeOf(bytes, head, endOfLength(bytes, head.before.length));
}

function wholeOf(bytes: Buffer, head: KnownHead, digitsEnd: number): Read {
  const { before, after, url, headers } = head;
  let length = 0;
  for (let at = before.length; at < digitsEnd; at++) length = length * 10 + (bytes[at] as number) - ZERO;
  const start = digitsEnd + after.length;
  const size = start + length;
  if (size > MOST_REQUEST || bytes.length > size) return 'other';
  if (bytes.length < size) return 'incomplete';
  return { request: { method: 'POST', url, headers, whole: bytes.subarray(start) }, head };
}

const startsWith = (bytes: Buffer, at: number, part: Buffer): boolean =>
  bytes.length >= at + part.length && bytes.compare(part, 0, part.length, at, at + part.length) === 0;

const ZERO = 48;
const MOST_DIGITS = 6;

/** Where the digits that begin there end; −1 for more than there may be, none, or a zero in front of others. */
function endOfLength(bytes: Buffer, from: number): number {
  let at = from;
  while (at < bytes.length && (bytes[at] as number) >= ZERO && (bytes[at] as number) <= ZERO + 9) at += 1;
  const digits = at - from;
  return digits === 0 || digits > MOST_DIGITS || (digits > 1 && bytes[from] === ZERO) ? -1 : at;
}

function readHead(bytes: Buffer, end: number, hosts: ReadonlySet<string>): KnownHead | undefined {
  const text = bytes.toString('latin1', 0, end);
  const lineEnd = text.indexOf('\r\n');
  const url = REQUEST_LINE.exec(lineEnd === -1 ? text : text.slice(0, lineEnd))?.[1];
  if (url === undefined || lineEnd === -1) return undefined;
  const headers: Record<string, string> = Object.create(null);
  let digitsAt = -1;
  let digits = '';
  for (let at = lineEnd + 2; at <= text.length; ) {
    const next = text.indexOf('\r\n', at);
    const stop = next === -1 ? text.length : next;
    const line = text.slice(at, stop);
    const field = FIELD.exec(line);
    if (field === null) return undefined;
    const name = (field[1] as string).toLowerCase();
    const value = field[2] ?? '';
    if (NOT_HERE.has(name) || name in headers) return undefined;
    headers[name] = value;
    if (name === 'content-length') {
      digits = value;
      digitsAt = at + line.indexOf(value, name.length + 1);
    }
    at = stop + 2;
  }
  if (!LENGTH.test(digits) || !isKept(headers.connection) || !isOwnHost(headers.host, hosts)) return undefined;
  delete headers['content-length'];
  // Copies: what was read lies in a buffer that is shared with much else.
  const before = Buffer.from(bytes.subarray(0, digitsAt));
  const after = Buffer.from(bytes.subarray(digitsAt + digits.length, end + END.length));
  return { before, after, url, headers };
}

const isKept = (connection: string | undefined): boolean =>
  connection === undefined || connection.toLowerCase() === 'keep-alive';
