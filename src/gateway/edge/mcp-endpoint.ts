import type { IncomingMessage, ServerResponse } from 'node:http';
import { isRemitError, messageOf } from '../../domain/errors.ts';
import { isRefused } from '../../domain/refusal.ts';
import type { Gateway } from '../gateway.ts';
import { type Governed, governCall } from '../pipeline.ts';
import { authenticate, type Caller } from '../stages/authenticate.ts';
import { listTools } from '../stages/list-tools.ts';
import { identityOf } from '../stages/record-intent.ts';
import { readBody } from './read-body.ts';
import { type ClientMessage, type Params, PROTOCOL_VERSIONS, readMessage } from './read-message.ts';
import { errorAnswer, type HttpAnswer, refusalAnswer, replyAnswer, resultAnswer } from './render.ts';

export interface McpEndpointOptions {
  readonly gateway: Gateway;
  /** `WWW-Authenticate` value for a refused request (RFC 6750 §3, RFC 9728 §5.1). */
  readonly challenge: (error: string, reason: string) => string;
  readonly maxBodyBytes: number;
  readonly version: string;
}

type Request = Extract<ClientMessage, { kind: 'request' }>;

/**
 * The MCP endpoint (Streamable HTTP, JSON replies). Every message is authenticated; a method that has no rule in the table below is
 * refused and recorded (guarantee D1).
 */
export function createMcpEndpoint(options: McpEndpointOptions) {
  const { gateway, challenge } = options;

  const METHODS: Readonly<
    Record<string, (caller: Caller, request: Request, signal: AbortSignal) => Promise<Answer> | Answer>
  > = {
    initialize: (_caller, { id, params }) => ({ answer: resultAnswer(id, initializeResult(params, options.version)) }),
    ping: (_caller, { id }) => ({ answer: resultAnswer(id, '{}') }),
    'tools/list': async (caller, { id }) => ({
      answer: resultAnswer(id, await listTools(gateway, caller, gateway.newSpan())),
    }),
    'tools/call': callTool,
  };

  async function callTool(caller: Caller, { id, params }: Request, signal: AbortSignal): Promise<Answer> {
    const args = params.arguments ?? {};
    if (typeof params.name !== 'string' || typeof args !== 'object' || args === null || Array.isArray(args)) {
      return { answer: errorAnswer(400, id, -32602, 'tools/call needs "name" (a string) and "arguments" (an object)') };
    }
    const { reply, recordOutcome } = await governCall(
      gateway,
      caller,
      {
        exposedName: params.name,
        arguments: args as Readonly<Record<string, unknown>>,
        span: gateway.newSpan(),
        clientCallId: clientCallId(params),
      },
      signal,
    );
    return { answer: answerOf(id, reply), afterwards: recordOutcome };
  }

  /** The call is over: whatever cannot be written out must not read as if nothing had been forwarded, nor lose its outcome. */
  function answerOf(id: Request['id'], reply: Governed['reply']): HttpAnswer {
    try {
      return isRefused(reply) ? refusalAnswer(id, reply.refusal, challenge) : replyAnswer(id, reply);
    } catch (error) {
      gateway.log.warn({ error: messageOf(error) }, 'a reply of a connector cannot be written out');
      const next = 'The call may have had its effect: check before calling again.';
      return errorAnswer(200, id, -31000, `The connector replied with what cannot be passed on. ${next}`);
    }
  }

  async function answerPost(request: IncomingMessage, signal: AbortSignal): Promise<Answer> {
    const caller = await authenticate(gateway, request.headers.authorization);
    if (isRefused(caller)) {
      const { refusal } = caller;
      if (refusal.kind === 'unauthenticated' && refusal.error !== 'missing_token') {
        gateway.recordRefusal({ at: 'mcp', reason: refusal.reason });
      }
      return { answer: refusalAnswer(null, refusal, challenge) };
    }
    if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
      return { answer: errorAnswer(415, null, -32600, 'Content-Type must be application/json') };
    }
    const body = await readBody(request, options.maxBodyBytes);
    // A body may take its time: what the task may do is asked when it is there.
    if (gateway.tasks.get(caller.task.id) === undefined) {
      const reason = `task ${caller.task.id} has ended`;
      return { answer: refusalAnswer(null, { kind: 'unauthenticated', error: 'invalid_token', reason }, challenge) };
    }
    if ('problem' in body) return { answer: errorAnswer(body.status, null, -32700, body.problem) };
    const message = readMessage(body.text, request.headers);
    if ('problem' in message) {
      const { id, rpcCode, reason, data } = message.problem;
      return { answer: errorAnswer(400, id, rpcCode, reason, data) };
    }
    if (message.kind !== 'request') return { answer: { status: 202, body: '' } };
    const rule = Object.hasOwn(METHODS, message.method) ? METHODS[message.method] : undefined;
    if (rule !== undefined) {
      try {
        return await rule(caller, message, signal);
      } catch (error) {
        return { answer: faultAnswer(gateway, error, message.id) };
      }
    }
    await gateway.recorder.record({
      type: 'decision',
      ...identityOf(caller),
      span: gateway.newSpan(),
      detail: {
        effect: 'method',
        verdict: 'deny',
        gate: 'profile',
        policies: ['remit:method'],
        method: message.method.slice(0, 80),
      },
    });
    return { answer: errorAnswer(200, message.id, -32601, `Method not found: ${message.method.slice(0, 80)}`) };
  }

  return async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'POST') {
      send(response, errorAnswer(405, null, -32000, 'This endpoint takes POST'), { Allow: 'POST' });
      return;
    }
    const abandoned = new AbortController();
    response.on('close', () => {
      if (!response.writableFinished) abandoned.abort();
    });
    let outcome: Answer;
    try {
      outcome = await answerPost(request, abandoned.signal);
    } catch (error) {
      outcome = { answer: faultAnswer(gateway, error, null) };
    }
    send(response, outcome.answer);
    outcome.afterwards?.();
  };
}

interface Answer {
  readonly answer: HttpAnswer;
  readonly afterwards?: () => void;
}

/** A fault anywhere is a refusal (guarantees D1, A3): the caller learns that it was not served, the log why. */
function faultAnswer(gateway: Gateway, error: unknown, id: string | number | null): HttpAnswer {
  const code = isRemitError(error) ? error.code : 'ERR_INTERNAL';
  gateway.log.error({ code, error: messageOf(error) }, 'a request failed and was refused');
  return errorAnswer(
    503,
    id,
    -31000,
    `Remit could not serve the request (${code}); nothing was forwarded. See the gateway’s log.`,
  );
}

function send(response: ServerResponse, answer: HttpAnswer, more?: Readonly<Record<string, string>>): void {
  if (response.destroyed) return;
  response.writeHead(answer.status, {
    ...(answer.body !== '' && { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(answer.body) }),
    'Cache-Control': 'no-store',
    ...answer.headers,
    ...more,
  });
  response.end(answer.body);
}

function initializeResult(params: Params, version: string): string {
  const asked = params.protocolVersion;
  const agreed = PROTOCOL_VERSIONS.find((known) => known === asked) ?? PROTOCOL_VERSIONS[0];
  return JSON.stringify({
    protocolVersion: agreed,
    capabilities: { tools: {} },
    serverInfo: { name: 'remit', title: 'Remit', version },
    instructions:
      'Every call is decided on for the task that this session was started for. A denied call says why and what to do next; calling again unchanged will not help.',
  });
}

/** Clients' own ids for a call, for the record: Claude Code sends `claudecode/toolUseId`. */
function clientCallId(params: Params): string | undefined {
  const meta = params._meta;
  if (meta === null || typeof meta !== 'object') return undefined;
  const value = (meta as Record<string, unknown>)['claudecode/toolUseId'];
  return typeof value === 'string' ? value.slice(0, 100) : undefined;
}
