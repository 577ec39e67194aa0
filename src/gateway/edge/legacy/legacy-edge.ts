import { LEGACY_VERSIONS, RPC } from '../../../domain/era.ts';
import type { TaskId } from '../../../domain/ids.ts';
import { acceptsStream } from '../accepts.ts';
import type { EraEdge, Exchange } from '../exchange.ts';
import { pulseOf } from '../pulse.ts';
import { type ClientMessage, idOf, readMessage } from '../read-message.ts';
import { errorAnswer, type HttpAnswer } from '../render.ts';
import { Reply } from '../reply.ts';
import { sendAnswer } from '../send-answer.ts';
import { type OtherMessage, serveBatch } from './batch.ts';
import { openGetStream } from './get-stream.ts';
import { initialize } from './initialize.ts';
import type { LegacyParts } from './legacy-parts.ts';
import { LegacyRequest } from './legacy-request.ts';
import { serveRequest, stoppingAnswer } from './serve-request.ts';
import type { Session } from './session.ts';
import { SESSION_LIMITS, Sessions } from './sessions.ts';
import { TokenEnds } from './token-ends.ts';

export interface LegacyEdge extends EraEdge {
  readonly sessions: number;
}

const OLDEST = LEGACY_VERSIONS[LEGACY_VERSIONS.length - 1] as string;

/** The revisions with an `initialize` handshake: sessions, their streams, and requests without any session. */
export function createLegacyEdge(parts: LegacyParts): LegacyEdge {
  const { gateway } = parts;
  const { clock, schedule } = gateway;
  const heartbeatMs = parts.replyHeartbeatMs ?? 15_000;
  const pulse = pulseOf(schedule, parts.streamHeartbeatMs ?? 25_000);
  const ends = new TokenEnds(clock, schedule);
  const sessions = new Sessions({
    hub: gateway.hub,
    clock,
    schedule,
    random: parts.random,
    limits: { ...SESSION_LIMITS, ...parts.limits },
  });

  /**
   * The session that a request names; undefined when it names none. An id that is unknown, has ended or is another principal's is the same:
   * 404, already sent, upon which a client initialises again (faults 12, 14, 15, 16).
   */
  function sessionOf({ request, response, caller, scope, body }: Exchange): Session | undefined | typeof REFUSED {
    const { 'mcp-session-id': id, 'mcp-protocol-version': version } = request.headers;
    if (id === undefined) return undefined;
    const session = sessions.find(String(id));
    if (session?.isOf(caller.principal, scope) !== true) {
      if (session !== undefined) {
        const { agent, task } = caller.principal;
        gateway.recordRefusal({ at: 'mcp', agent, task, reason: 'a session of another principal was named' });
      }
      sendAnswer(response, errorAnswer(404, idOf(body), -32001, 'Session not found: initialize again'));
      return REFUSED;
    }
    if (version !== undefined && version !== session.protocolVersion) {
      const problem = `MCP-Protocol-Version differs from the session’s, which is ${session.protocolVersion}`;
      sendAnswer(response, errorAnswer(400, idOf(body), RPC.invalidRequest, problem));
      return REFUSED;
    }
    sessions.touch(session);
    return session;
  }

  async function postInitialize(exchange: Exchange, message: RequestMessage): Promise<void> {
    const { response } = exchange;
    const { answer, session } = await initialize(exchange, message, parts, sessions);
    if (session !== undefined && response.destroyed) sessions.end(session, 'the client disconnected');
    sendAnswer(response, answer);
  }

  async function postRequest(exchange: Exchange, message: RequestMessage, session: Session | undefined): Promise<void> {
    const { caller, scope } = exchange;
    const reply = replyTo(exchange, session);
    const traceparent = exchange.request.headers.traceparent as string | undefined;
    const request = new LegacyRequest(message, versionOf(exchange, session), scope, session, reply, traceparent);
    reply.onGone(() => request.cancellation.cancel(goneReason()));
    const { answer, recordOutcome } = await serveRequest(parts, caller, request, session);
    const writing = reply.finish(answer);
    if (writing !== undefined) await writing;
    recordOutcome?.();
  }

  async function postBatch(exchange: Exchange, batch: readonly unknown[], session: Session | undefined): Promise<void> {
    const protocolVersion = versionOf(exchange, session);
    if (protocolVersion !== OLDEST) {
      const problem = `revision ${protocolVersion} has no batches: send one message a request`;
      return sendAnswer(exchange.response, errorAnswer(400, null, RPC.invalidRequest, problem));
    }
    await serveBatch({
      parts,
      caller: exchange.caller,
      scope: exchange.scope,
      response: exchange.response,
      batch,
      session,
      protocolVersion,
      isDraining: sessions.isDraining,
      reply: () => replyTo(exchange, session),
      onGone: goneReason,
      onOther: (message) => takeNote(exchange, session, message),
    });
  }

  function replyTo({ request, response }: Exchange, session: Session | undefined): Reply {
    // Without a session there is nobody to come back, and no way for answers to questions: one JSON reply, as these clients expect.
    const isStreamed = session !== undefined && acceptsStream(request.headers.accept);
    return new Reply(response, { acceptsStream: isStreamed, schedule, heartbeatMs, keeper: session });
  }

  /** Notifications, and responses to questions of ours: nothing is answered. */
  function takeNote({ caller, scope }: Exchange, session: Session | undefined, message: OtherMessage): void {
    if (session === undefined) return;
    if (message.kind === 'response') session.answer(message.id, message.message);
    else if (message.method === 'notifications/cancelled') {
      session.cancelRequest(message.params.requestId, 'cancelled by the client');
    } else if (message.method === 'notifications/roots/list_changed') parts.onRootsChanged?.(caller, scope);
  }

  const goneReason = (): string => (sessions.isDraining ? 'gateway stopping' : 'the client disconnected');

  function post(exchange: Exchange): Promise<void> | void {
    const { response, body } = exchange;
    const session = sessionOf(exchange);
    if (session === REFUSED) return;
    if (Array.isArray(body)) return postBatch(exchange, body, session);
    const message = readMessage(body);
    if ('problem' in message) {
      const { id, rpcCode, reason } = message.problem;
      return sendAnswer(response, errorAnswer(400, id, rpcCode, reason));
    }
    if (message.kind !== 'request') {
      takeNote(exchange, session, message);
      return sendAnswer(response, ACCEPTED);
    }
    if (sessions.isDraining) return sendAnswer(response, stoppingAnswer(message.id));
    if (message.method !== 'initialize') return postRequest(exchange, message, session);
    if (session === undefined) return postInitialize(exchange, message);
    sendAnswer(response, errorAnswer(400, message.id, RPC.invalidRequest, 'this session is initialised already'));
  }

  return {
    post,
    get(exchange) {
      const session = sessionOf(exchange);
      if (session === undefined) return sendAnswer(exchange.response, NEEDS_SESSION);
      if (session === REFUSED) return;
      if (sessions.isDraining) return sendAnswer(exchange.response, stoppingAnswer(null));
      openGetStream(exchange, session, pulse, ends);
    },
    delete(exchange) {
      const session = sessionOf(exchange);
      if (session === undefined) return sendAnswer(exchange.response, NEEDS_SESSION);
      if (session === REFUSED) return;
      sessions.end(session, 'the client ended the session');
      sendAnswer(exchange.response, { status: 204, body: '' });
    },
    endTask: (task) => sessions.endTask(task as TaskId),
    closeStreams: () => sessions.closeStreams(),
    drain: () => sessions.drain(),
    get sessions() {
      return sessions.size;
    },
  };
}

/** The exchange has been answered. */
const REFUSED = 'refused';

type RequestMessage = Extract<ClientMessage, { kind: 'request' }>;

const ACCEPTED: HttpAnswer = { status: 202, body: '' };

const NEEDS_SESSION: HttpAnswer = {
  ...errorAnswer(405, null, RPC.invalidRequest, 'GET and DELETE are for sessions: initialize first'),
  headers: { Allow: 'POST' },
};

function versionOf({ request }: Exchange, session: Session | undefined): string {
  return session?.protocolVersion ?? (request.headers['mcp-protocol-version'] as string | undefined) ?? OLDEST;
}
