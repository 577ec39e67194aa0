import type { IncomingMessage, ServerResponse } from 'node:http';
import { readBody } from '../gateway/edge/read-body.ts';
import type { EventTaker } from '../risk/take-event.ts';
import type { SecurityEventRefusal, SecurityEventVerifier } from '../seams/security-events.ts';
import { respond } from './answers.ts';

export const SECURITY_EVENTS_PATH = '/risk/events';

export interface SecurityEvents {
  readonly verifier: SecurityEventVerifier;
  readonly taker: EventTaker;
  /** What is refused is on the record, a flood of it counted. */
  readonly recordRefusal: (detail: Readonly<Record<string, unknown>>) => void;
}

const MAX_BODY_BYTES = 64 * 1024;

/** A security event token that is pushed (RFC 8935): 202 when it is on the trail, so that its transmitter need not keep it. */
export async function serveSecurityEvents(
  { verifier, taker, recordRefusal }: SecurityEvents,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { headers, method } = request;
  if (method !== 'POST') {
    request.resume();
    return respond(response, 405, { error: 'method_not_allowed' });
  }
  const type = (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase();
  if (type !== 'application/secevent+jwt') {
    request.resume();
    return refuse({ err: 'invalid_request', description: 'the Content-Type is not application/secevent+jwt' });
  }
  const body = await readBody(request, MAX_BODY_BYTES);
  if ('problem' in body) return refuse({ err: 'invalid_request', description: body.problem });
  const verified = await verifier.verify(body.text.trim(), headers.authorization);
  if ('err' in verified) return refuse(verified);
  await taker.take(verified);
  response.writeHead(202, { 'Content-Length': 0, 'Cache-Control': 'no-store' });
  response.end();

  /** RFC 8935 section 2.3. */
  function refuse({ err, description }: SecurityEventRefusal): void {
    recordRefusal({ at: 'security events', error: err, reason: description });
    response.setHeader('Content-Language', 'en');
    respond(response, 400, { err, description });
  }
}
