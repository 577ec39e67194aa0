/** Media types of an `Accept` header. A missing one accepts JSON: several clients send none. */
export function acceptsJson(accept: string | undefined): boolean {
  if (accept === undefined || accept === JSON_AND_STREAM) return true;
  return /(?:^|,)\s*(?:application\/(?:json|\*)|\*\/\*)\s*(?:;|,|$)/i.test(accept);
}

/** Whether the client says itself that it reads `text/event-stream`; one that does not gets a single JSON reply. */
export function acceptsStream(accept: string | undefined): boolean {
  if (accept === undefined) return false;
  return accept === JSON_AND_STREAM || /(?:^|,)\s*text\/(?:event-stream|\*)\s*(?:;|,|$)/i.test(accept);
}

/** What the official SDKs send. */
const JSON_AND_STREAM = 'application/json, text/event-stream';

export function isJson(contentType: string | undefined): boolean {
  if (contentType === 'application/json') return true;
  return contentType !== undefined && /^application\/json\s*(?:;|$)/i.test(contentType);
}
