import { RPC } from '../../../domain/era.ts';
import type { ConnectorId } from '../../../domain/ids.ts';
import type { Caller } from '../../stages/authenticate.ts';
import type { HttpResponse } from '../client-http.ts';
import { type ClientMessage, readMessage } from '../read-message.ts';
import { errorAnswer } from '../render.ts';
import type { Reply } from '../reply.ts';
import { sendAnswer } from '../send-answer.ts';
import { oneLine } from '../sse-stream.ts';
import type { LegacyParts } from './legacy-parts.ts';
import { LegacyRequest } from './legacy-request.ts';
import { type Served, serveRequest, stoppingAnswer } from './serve-request.ts';
import type { Session } from './session.ts';

/** A notification, or a response: what is not answered. */
export type OtherMessage = Exclude<ClientMessage, { kind: 'request' }>;

export interface BatchPost {
  readonly parts: LegacyParts;
  readonly caller: Caller;
  readonly scope: ConnectorId | undefined;
  readonly response: HttpResponse;
  readonly batch: readonly unknown[];
  readonly session: Session | undefined;
  readonly protocolVersion: string;
  readonly isDraining: boolean;
  readonly reply: () => Reply;
  /** Why requests are cancelled when the client goes. */
  readonly onGone: () => string;
  readonly onOther: (message: OtherMessage) => void;
}

const MOST_MESSAGES = 50;

/**
 * A JSON-RPC batch, which only 2025-03-26 has. Each member goes the way of a single message, in parallel; the answers come as one array, or
 * as events once something had to be said before them.
 */
export async function serveBatch(post: BatchPost): Promise<void> {
  const { batch, response, session } = post;
  if (batch.length === 0 || batch.length > MOST_MESSAGES) {
    const problem = `a batch holds 1 to ${MOST_MESSAGES} messages`;
    return sendAnswer(response, errorAnswer(400, null, RPC.invalidRequest, problem));
  }
  const messages = batch.map((body) => readMessage(body));
  const answers: string[] = [];
  const requests: Extract<ClientMessage, { kind: 'request' }>[] = [];
  for (const message of messages) {
    if ('problem' in message) {
      const { id, rpcCode, reason } = message.problem;
      answers.push(errorAnswer(400, id, rpcCode, reason).body);
    } else if (message.kind !== 'request') post.onOther(message);
    else if (message.method === 'initialize') {
      answers.push(errorAnswer(400, message.id, RPC.invalidRequest, 'initialize cannot be part of a batch').body);
    } else if (post.isDraining) answers.push(stoppingAnswer(message.id).body);
    else requests.push(message);
  }
  if (requests.length === 0) {
    if (answers.length === 0) return sendAnswer(response, { status: 202, body: '' });
    return sendAnswer(response, { status: 200, body: `[${answers.join(',')}]` });
  }

  const reply = post.reply();
  const running = requests.map(
    (message) => new LegacyRequest(message, post.protocolVersion, post.scope, session, reply),
  );
  reply.onGone(() => {
    const reason = post.onGone();
    for (const { cancellation } of running) cancellation.cancel(reason);
  });
  const outcomes = await Promise.all(
    running.map(async (request) => {
      const served = await serveRequest(post.parts, post.caller, request, session);
      const body = await bodyOf(request.id, served);
      if (!reply.isStream || !reply.send(body)) answers.push(body);
      return served.recordOutcome;
    }),
  );
  if (!reply.isStream) await reply.finish({ status: 200, body: `[${answers.join(',')}]` });
  else {
    for (const answer of answers) reply.send(answer);
    await reply.finish({ status: 200, body: '' });
  }
  for (const recordOutcome of outcomes) recordOutcome?.();
}

/** One answer as text on one line. One that is too large to hold has no place in an array that must be held. */
async function bodyOf(id: string | number, { answer }: Served): Promise<string> {
  if ('body' in answer) return oneLine(answer.body);
  try {
    for await (const _ of answer.chunks) break;
  } catch {
    // What became of it changes nothing for the client.
  }
  const problem = 'The reply is too large for a batch. The call may have had its effect: check before calling again.';
  return errorAnswer(200, id, RPC.notServed, problem).body;
}
