import { MODERN_VERSION, RPC } from '../../../domain/era.ts';
import { taskId } from '../../../domain/ids.ts';
import type { MethodAnswer } from '../../client-request.ts';
import { acceptsStream } from '../accepts.ts';
import type { EraEdge, Exchange } from '../exchange.ts';
import { findNameMismatch } from '../name-headers.ts';
import { type ClientMessage, idOf, readMessage } from '../read-message.ts';
import { errorAnswer, type HttpAnswer, methodNotAllowed, replyAnswer, resultAnswer } from '../render.ts';
import { createReply, type Reply, type ReplyOptions } from '../reply.ts';
import { faultAnswer, sendAnswer, unwritableAnswer } from '../send-answer.ts';
import { type LargeAnswer, largeAnswer } from '../write-large.ts';
import { discoverResult } from './discover.ts';
import type { ModernParts } from './modern-parts.ts';
import { ModernRequest } from './modern-request.ts';
import { findParamMismatch, paramHeadersOf } from './param-headers.ts';
import { readEnvelope } from './read-envelope.ts';
import { REMOVED_METHODS, refuseMethod } from './refuse-method.ts';
import { createSubscriptions } from './subscriptions.ts';

type RequestMessage = Extract<ClientMessage, { kind: 'request' }>;

/** Revision 2026-07-28: no session, no handshake; each POST says all that there is to know, and its headers must say the same. */
export function createModernEdge(parts: ModernParts): EraEdge {
  const { gateway, challenge } = parts;
  const withStream: ReplyOptions = { acceptsStream: true, schedule: gateway.schedule, heartbeatMs: parts.heartbeatMs };
  const withoutStream: ReplyOptions = { ...withStream, acceptsStream: false };
  const subscriptions = createSubscriptions(parts, withStream);
  let isDraining = false;

  async function serve(exchange: Exchange): Promise<void> {
    const { request, response, caller, scope, body } = exchange;
    const message = readMessage(body);
    if ('problem' in message) {
      const { id, rpcCode, reason } = message.problem;
      return sendAnswer(response, errorAnswer(400, id, rpcCode, reason));
    }
    if (message.kind === 'response') {
      const reason = `revision ${MODERN_VERSION} has no questions to answer by a POST: send inputResponses with the request`;
      return sendAnswer(response, errorAnswer(400, message.id, RPC.invalidRequest, reason));
    }
    if (message.kind === 'notification') {
      // None means anything here: a call is cancelled by closing its response, and the headers are not required.
      const mismatch = findNameMismatch(message.method, message.params, request.headers, false);
      if (mismatch !== undefined) return sendAnswer(response, errorAnswer(400, null, RPC.headerMismatch, mismatch));
      return sendAnswer(response, { status: 202, body: '' });
    }

    const { id, method, params } = message;
    const envelope = readEnvelope(params);
    if ('problem' in envelope) {
      return sendAnswer(response, errorAnswer(400, id, RPC.invalidParams, `Invalid params: ${envelope.problem}`));
    }
    const mismatch = findMismatch(exchange, message);
    if (mismatch !== undefined) return sendAnswer(response, errorAnswer(400, id, RPC.headerMismatch, mismatch));
    if (REMOVED_METHODS.has(method)) return sendAnswer(response, await refuseMethod(gateway, caller, id, method));
    if (method === 'server/discover') {
      const offer = await parts.offer(gateway, caller, scope);
      return sendAnswer(response, resultAnswer(id, discoverResult(offer, parts.version)));
    }
    if (method === 'subscriptions/listen') return subscriptions.listen(exchange, id, params, envelope);

    const reply = createReply(response, acceptsStream(request.headers.accept) ? withStream : withoutStream);
    const traceparent = request.headers.traceparent as string | undefined;
    return call(exchange, new ModernRequest(id, method, params, scope, envelope, reply, traceparent), reply);
  }

  /** Every header that repeats something of the body (attack A13). */
  function findMismatch({ request, scope }: Exchange, { method, params }: RequestMessage): string | undefined {
    const { headers } = request;
    if (headers['mcp-protocol-version'] === undefined) return 'header MCP-Protocol-Version is missing';
    const mismatch = findNameMismatch(method, params, headers, true);
    if (mismatch !== undefined || method !== 'tools/call' || typeof params.name !== 'string') return mismatch;
    const tool = gateway.catalogue.find('tool', params.name, scope);
    // Of a tool that nobody may see, nothing is said.
    if (tool?.status !== 'described') return undefined;
    const declared = paramHeadersOf(tool.definition);
    return declared.length === 0 ? undefined : findParamMismatch(declared, params.arguments, headers);
  }

  async function call({ caller }: Exchange, request: ModernRequest, reply: Reply): Promise<void> {
    reply.onGone(() => request.cancellation.cancel('the client closed the response'));
    let answer: HttpAnswer | LargeAnswer;
    let recordOutcome: (() => void) | undefined;
    try {
      const came = await gateway.rounds.answer(caller, request, async (r) => parts.handleMethod(gateway, caller, r));
      recordOutcome = came.recordOutcome;
      answer = answerOf(request, came.reply);
    } catch (error) {
      answer = faultAnswer(gateway, error, request.id);
    }
    try {
      const finishing = reply.finish(answer);
      // A large result may take its time, and break off.
      if (finishing instanceof Promise) await finishing;
    } finally {
      // The reply is on its way: now, and not before, its outcome.
      recordOutcome?.();
    }
  }

  function answerOf(request: ModernRequest, reply: MethodAnswer['reply']): HttpAnswer | LargeAnswer {
    if ('resultChunks' in reply) return largeAnswer(request.id, reply);
    try {
      return replyAnswer(request, reply, challenge);
    } catch (error) {
      return unwritableAnswer(gateway, error, request.id);
    }
  }

  return {
    post(exchange) {
      if (isDraining) return sendAnswer(exchange.response, stopping(idOf(exchange.body)));
      return serve(exchange);
    },
    get: ({ response }) => sendAnswer(response, methodNotAllowed('POST')),
    delete: ({ response }) => sendAnswer(response, methodNotAllowed('POST')),
    endTask: (task) => subscriptions.endTask(taskId(task)),
    closeStreams: () => subscriptions.closeAll(),
    drain() {
      isDraining = true;
      subscriptions.closeAll();
    },
  };
}

function stopping(id: string | number | null): HttpAnswer {
  const answer = errorAnswer(
    503,
    id,
    RPC.notServed,
    'The gateway is stopping; nothing was forwarded. Try again shortly.',
  );
  return { ...answer, headers: { Connection: 'close' } };
}
