import { MODERN_VERSION, RPC } from '../../domain/era.ts';
import type { Refusal } from '../../domain/refusal.ts';
import type { HttpRequest } from './client-http.ts';
import { readMessage } from './read-message.ts';
import { type Challenge, errorAnswer, type HttpAnswer, refusalAnswer, unauthenticatedAnswer } from './render.ts';
import { parseStrictJson } from './strict-json.ts';

/** One sentence of why. */
export const reasonOf = (refusal: Refusal): string =>
  refusal.kind === 'denied' ? refusal.decision.reason : refusal.reason;

/**
 * Answers who is known and may do nothing now: the task is suspended, or the gateway denies everything. A request is answered as if it had
 * been refused by itself, so that the model reads why and what to do next; anything else by the status of HTTP.
 * @param text body of a POST, undefined where there is none that can be read
 */
export function barredAnswer(
  refusal: Refusal,
  request: Pick<HttpRequest, 'headers'>,
  text: string | undefined,
  challenge: Challenge,
): HttpAnswer {
  if (refusal.kind === 'unauthenticated') return unauthenticatedAnswer(null, refusal, challenge);
  const era = request.headers['mcp-protocol-version'] === MODERN_VERSION ? 'modern' : 'legacy';
  const parsed = text === undefined ? undefined : parseStrictJson(text);
  const body = parsed === undefined || 'problem' in parsed ? undefined : parsed.value;
  const message = body === undefined || Array.isArray(body) ? undefined : readMessage(body);
  if (message !== undefined && !('problem' in message) && message.kind === 'request') {
    return refusalAnswer({ era, id: message.id, method: message.method }, refusal, challenge);
  }
  const isForNow = refusal.kind === 'unavailable';
  const answer = errorAnswer(isForNow ? 503 : 403, null, isForNow ? RPC.notServed : RPC.denied, reasonOf(refusal));
  return isForNow ? { ...answer, headers: { 'Retry-After': '1' } } : answer;
}
