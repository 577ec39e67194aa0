import { RemitError } from '../../domain/errors.ts';
import type { CredentialInjection } from '../../seams/upstream.ts';

/** Headers that are ours to write: an injected one of these would change the framing or the session. */
const OURS = new Set([
  'accept',
  'connection',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'mcp-protocol-version',
  'mcp-session-id',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
/** field-value of RFC 9110 §5.5: no line breaks, hence no second header. */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * Headers of every request of a connection, as undici takes them: name, value, name, value.
 * @throws `ERR_CREDENTIAL_ISSUE` where an injected header cannot be sent; its value is not in the message
 */
export function connectionHeaders(injection: CredentialInjection, where: string): string[] {
  const headers = ['content-type', 'application/json', 'accept', 'application/json, text/event-stream'];
  for (const [name, secret] of Object.entries(injection.headers)) {
    const value = secret.reveal();
    if (OURS.has(name.toLowerCase()) || !FIELD_VALUE.test(value)) {
      throw new RemitError('ERR_CREDENTIAL_ISSUE', `The credential cannot be sent in the header ${name}`, {
        where,
        hint: 'Inject into a header that is not part of HTTP framing or of MCP, and a value without line breaks.',
      });
    }
    headers.push(name, value);
  }
  return headers;
}

/** MCP basic/transports: visible ASCII only. The bound is ours. */
export function isUsableSessionId(value: unknown): value is string {
  return typeof value === 'string' && /^[\x21-\x7e]{1,1024}$/.test(value);
}
