import { RPC } from '../../domain/era.ts';
import { isRemitError, messageOf } from '../../domain/errors.ts';
import type { Gateway } from '../gateway.ts';
import type { HttpResponse } from './client-http.ts';
import { errorAnswer, type HttpAnswer } from './render.ts';

/** Writes a whole answer: head and body in one go, none when the client has gone. */
export function sendAnswer(response: HttpResponse, answer: HttpAnswer): void {
  if (response.destroyed || response.headersSent) return;
  const { status, body, headers } = answer;
  const length = Buffer.byteLength(body);
  const head: (string | number)[] = ['Content-Length', length, 'Cache-Control', 'no-store'];
  if (body !== '') head.push('Content-Type', 'application/json');
  if (headers !== undefined) for (const name of Object.keys(headers)) head.push(name, headers[name] as string);
  response.writeHead(status, head);
  // As many bytes as characters: all ASCII, which need not be encoded.
  response.end(body, length === body.length ? 'latin1' : 'utf8');
}

/** A fault anywhere is a refusal (guarantees D1, A3): the caller learns that it was not served, the log why. */
export function faultAnswer(gateway: Gateway, error: unknown, id: string | number | null): HttpAnswer {
  const code = isRemitError(error) ? error.code : 'ERR_INTERNAL';
  gateway.log.error({ code, error: messageOf(error) }, 'a request failed and was refused');
  return errorAnswer(
    503,
    id,
    RPC.notServed,
    `Remit could not serve the request (${code}); nothing was forwarded. See the gateway’s log.`,
  );
}

/** The call is over: what cannot be written out must not read as if nothing had been forwarded. */
export function unwritableAnswer(gateway: Gateway, error: unknown, id: string | number): HttpAnswer {
  gateway.log.warn({ error: messageOf(error) }, 'a reply of a connector cannot be written out');
  return errorAnswer(
    200,
    id,
    RPC.notServed,
    'The connector replied with what cannot be passed on. The call may have had its effect: check before calling again.',
  );
}
