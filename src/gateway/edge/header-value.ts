import { isUtf8 } from 'node:buffer';

const PREFIX = '=?base64?';
const SUFFIX = '?=';
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * Plain text of an `Mcp-Name` or `Mcp-Param-*` header: values that are unsafe in a header are sent as `=?base64?…?=` (2026-07-28, Streamable
 * HTTP, value encoding). Without both ends it is literal. Undefined for base64 that is not canonical or no UTF-8 (fault 35).
 */
export function decodeHeaderValue(value: string): string | undefined {
  if (!value.startsWith(PREFIX) || !value.endsWith(SUFFIX) || value.length < PREFIX.length + SUFFIX.length)
    return value;
  const encoded = value.slice(PREFIX.length, -SUFFIX.length);
  if (!BASE64.test(encoded)) return undefined;
  const bytes = Buffer.from(encoded, 'base64');
  // Bits that padding leaves over must be zero: two spellings of one value are two readings of one header (RFC 4648 §3.5).
  return bytes.toString('base64') === encoded && isUtf8(bytes) ? bytes.toString('utf8') : undefined;
}
