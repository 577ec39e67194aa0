import type { ServerResponse } from 'node:http';
import type { Refusal } from '../domain/refusal.ts';
import { reasonOf } from '../gateway/edge/barred-answer.ts';
import type { Gateway } from '../gateway/gateway.ts';

/** A JSON document, never to be kept. */
export function respond(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
  });
  response.end(text);
}

/** A caller that did not authenticate, or may not be served now. @param at where, for the record */
export function refuseCaller(gateway: Gateway, response: ServerResponse, refusal: Refusal, at: string): void {
  const reason = reasonOf(refusal);
  gateway.recordRefusal({ at, reason });
  if (refusal.kind === 'unauthenticated') {
    respond(response, 401, { error: 'invalid_token', error_description: reason });
    return;
  }
  const [status, error] = refusal.kind === 'denied' ? [403, 'access_denied'] : [503, 'temporarily_unavailable'];
  respond(response, status as number, { error, error_description: reason });
}
