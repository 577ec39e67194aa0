import { RPC } from '../../../domain/era.ts';
import { isRefused } from '../../../domain/refusal.ts';
import type { MethodAnswer } from '../../client-request.ts';
import type { Caller } from '../../stages/authenticate.ts';
import { errorAnswer, type HttpAnswer, replyAnswer, resultAnswer } from '../render.ts';
import { faultAnswer, unwritableAnswer } from '../send-answer.ts';
import { type LargeAnswer, largeAnswer } from '../write-large.ts';
import type { LegacyParts } from './legacy-parts.ts';
import type { LegacyRequest } from './legacy-request.ts';
import { MOST_SUBSCRIPTIONS, type Session } from './session.ts';

/** An answer, and the outcome still to be recorded once it is on its way. */
export interface Served {
  readonly answer: HttpAnswer | LargeAnswer;
  readonly recordOutcome?: (() => void) | undefined;
}

/** Answers one request, with or without a session. Never rejects. */
export function serveRequest(
  parts: LegacyParts,
  caller: Caller,
  request: LegacyRequest,
  session: Session | undefined,
): Promise<Served> | Served {
  const { id, method } = request;
  if (method === 'ping') return { answer: resultAnswer(id, '{}') };
  if (session === undefined) return handle(parts, caller, request, undefined);
  if (method === 'resources/subscribe' && !session.hasRoomFor(String(request.params.uri))) {
    const problem = `a session may be subscribed to ${MOST_SUBSCRIPTIONS} resources`;
    return { answer: errorAnswer(200, id, RPC.invalidParams, problem) };
  }
  if (!session.enter(id, request.cancellation)) {
    const problem = 'a request of this id is under way in this session';
    return { answer: errorAnswer(400, id, RPC.invalidRequest, problem) };
  }
  return serveInSession(parts, caller, request, session);
}

async function serveInSession(
  parts: LegacyParts,
  caller: Caller,
  request: LegacyRequest,
  session: Session,
): Promise<Served> {
  try {
    return await handle(parts, caller, request, session);
  } finally {
    session.leave(request.id);
  }
}

async function handle(
  parts: LegacyParts,
  caller: Caller,
  request: LegacyRequest,
  session: Session | undefined,
): Promise<Served> {
  const { gateway, challenge } = parts;
  let answered: MethodAnswer;
  try {
    const answering = parts.handleMethod(gateway, caller, request);
    answered = answering instanceof Promise ? await answering : answering;
  } catch (error) {
    return { answer: faultAnswer(gateway, error, request.id) };
  }
  const { reply, recordOutcome } = answered;
  if (session !== undefined && !isRefused(reply) && !('error' in reply)) settle(session, request);
  try {
    const answer = 'resultChunks' in reply ? largeAnswer(request.id, reply) : replyAnswer(request, reply, challenge);
    return { answer, recordOutcome };
  } catch (error) {
    return { answer: unwritableAnswer(gateway, error, request.id), recordOutcome };
  }
}

/** What a request that succeeded changes in its session. */
function settle(session: Session, { method, params }: LegacyRequest): void {
  switch (method) {
    case 'logging/setLevel':
      if (typeof params.level === 'string') session.logLevel = params.level;
      break;
    case 'resources/subscribe':
      if (typeof params.uri === 'string') session.subscribe(params.uri);
      break;
    case 'resources/unsubscribe':
      if (typeof params.uri === 'string') session.unsubscribe(params.uri);
      break;
  }
}

/** Said for a request that was not begun: it can be repeated safely. */
export function stoppingAnswer(id: string | number | null): HttpAnswer {
  return errorAnswer(503, id, RPC.notServed, 'The gateway is stopping; nothing was forwarded. Try again shortly.');
}
