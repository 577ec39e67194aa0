import { RPC } from '../../../domain/era.ts';
import { acceptsStream } from '../accepts.ts';
import type { Exchange } from '../exchange.ts';
import type { Pulse } from '../pulse.ts';
import { errorAnswer } from '../render.ts';
import { sendAnswer } from '../send-answer.ts';
import { SseStream } from '../sse-stream.ts';
import type { Session } from './session.ts';
import type { TokenEnds } from './token-ends.ts';

/** `<stream>-<n>`, as this gateway writes it. */
const EVENT_ID = /^([1-9]\d{0,8})-(\d{1,9})$/;

/**
 * Opens a GET stream of a session: fresh, or from where the client lost one. It ends with its token: nothing is said on it that the client
 * could not have asked for now.
 */
export function openGetStream(
  { request, response, caller }: Exchange,
  session: Session,
  pulse: Pulse,
  ends: TokenEnds,
): void {
  if (!acceptsStream(request.headers.accept)) {
    sendAnswer(response, errorAnswer(406, null, RPC.invalidRequest, 'a GET needs Accept: text/event-stream'));
    return;
  }
  const named = EVENT_ID.exec(String(request.headers['last-event-id'] ?? ''));
  const from = named === null ? undefined : { number: Number(named[1]), after: Number(named[2]) };
  const until = caller.principal.tokenExpiresAt;
  const channel = session.open(() => new SseStream(response), until, from);
  const stream = channel.carrier;
  if (stream?.response !== response || !stream.isOpen) return;
  pulse.add(stream);
  ends.add(channel);
  response.on('close', () => {
    pulse.remove(stream);
    if (channel.carrier === stream) ends.remove(channel);
    channel.closed(stream);
  });
}
