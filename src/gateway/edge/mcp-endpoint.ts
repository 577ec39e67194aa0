import { MODERN_VERSION, PROTOCOL_VERSIONS, RPC } from '../../domain/era.ts';
import type { ConnectorId } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import { isRefused, type Refused } from '../../domain/refusal.ts';
import type { Gateway } from '../gateway.ts';
import { authenticate, type Caller, refuseTaskOf } from '../stages/authenticate.ts';
import { acceptsJson, isJson } from './accepts.ts';
import { barredAnswer, reasonOf } from './barred-answer.ts';
import { classify, type EraProblem, unsupported } from './classify.ts';
import type { HttpRequest, HttpResponse } from './client-http.ts';
import type { EraEdge, Exchange } from './exchange.ts';
import { findNameMismatch } from './name-headers.ts';
import { type Body, readBody } from './read-body.ts';
import { idOf } from './read-message.ts';
import { type Challenge, errorAnswer, type HttpAnswer, methodNotAllowed, unauthenticatedAnswer } from './render.ts';
import { faultAnswer, sendAnswer } from './send-answer.ts';
import { parseStrictJson } from './strict-json.ts';

export interface McpEndpointOptions {
  readonly gateway: Gateway;
  readonly challenge: Challenge;
  readonly maxBodyBytes: number;
  readonly legacy: EraEdge;
  readonly modern: EraEdge;
}

const NO_PARAMS: JsonObject = {};

/**
 * The MCP endpoint (Streamable HTTP): `/mcp` for every connector, `/mcp/<connector>` for one. The path alone names the connector, no
 * header does (attack A07). Each request is authenticated, read strictly, and goes to its era.
 */
export function createMcpEndpoint(options: McpEndpointOptions) {
  const { gateway, challenge, legacy, modern } = options;
  const scopes = new Map<string, ConnectorId | undefined>([['/mcp', undefined]]);
  for (const connector of gateway.connectors) scopes.set(`/mcp/${connector}`, connector);

  return async function handle(request: HttpRequest, response: HttpResponse): Promise<void> {
    let body: unknown;
    try {
      const url = request.url as string;
      const mark = url.indexOf('?');
      if (mark !== -1 && new URLSearchParams(url.slice(mark + 1)).has('access_token')) return refuseQuery(response);
      const authenticated = authenticate(gateway, request.headers.authorization);
      const caller = authenticated instanceof Promise ? await authenticated : authenticated;
      if (isRefused(caller)) return await refuseCaller(request, response, caller);
      const path = mark === -1 ? url : url.slice(0, mark);
      const scope = scopes.get(path);
      if (scope === undefined && path !== '/mcp') {
        return sendAnswer(response, errorAnswer(404, null, RPC.notServed, 'No connector has this path'));
      }
      switch (request.method) {
        case 'POST': {
          const problem = findPostProblem(request);
          if (problem !== undefined) return sendAnswer(response, problem);
          const reading = readBody(request, options.maxBodyBytes);
          const read = reading instanceof Promise ? await reading : reading;
          const posted = admit(request, response, caller, scope, read);
          if (posted === undefined) return;
          body = posted.exchange.body;
          return await posted.edge.post(posted.exchange);
        }
        case 'GET':
        case 'DELETE':
          return await withoutBody(request, response, caller, scope);
        default:
          sendAnswer(response, methodNotAllowed('GET, POST, DELETE'));
      }
    } catch (error) {
      // The client has gone before its message was whole: nobody to answer, and nothing of ours is wrong.
      if (body !== undefined || !response.destroyed) sendAnswer(response, faultAnswer(gateway, error, idOf(body)));
    }
  };

  /** The exchange of a POST and the era that it goes to; undefined when it has been answered. */
  function admit(
    request: HttpRequest,
    response: HttpResponse,
    caller: Caller,
    scope: ConnectorId | undefined,
    read: Body,
  ): { readonly edge: EraEdge; readonly exchange: Exchange } | undefined {
    const { headers } = request;
    // A body may take its time: what the task may do is asked when it is there.
    if (gateway.tasks.get(caller.task.id) === undefined) {
      const body = 'problem' in read ? undefined : read.text;
      const { refusal } = refuseTaskOf(gateway, caller.task.id);
      return answered(response, barredAnswer(refusal, request, body, challenge));
    }
    if ('problem' in read) return answered(response, errorAnswer(read.status, null, RPC.parse, read.problem));
    const parsed = parseStrictJson(read.text);
    if ('problem' in parsed) {
      const reason = `the body cannot be accepted: ${parsed.problem}`;
      return answered(response, errorAnswer(400, null, RPC.parse, reason));
    }
    const body = parsed.value;
    const era = classify(body, headers['mcp-protocol-version'] as string | undefined);
    if (typeof era !== 'string') return answered(response, problemAnswer(era, body));
    const exchange = { request, response, caller, scope, body };
    if (era === 'modern') return { edge: modern, exchange };
    const mismatch = findLegacyMismatch(request, body);
    if (mismatch !== undefined) {
      return answered(response, errorAnswer(400, idOf(body), RPC.headerMismatch, mismatch));
    }
    return { edge: legacy, exchange };
  }

  function withoutBody(
    request: HttpRequest,
    response: HttpResponse,
    caller: Caller,
    scope: ConnectorId | undefined,
  ): Promise<void> | void {
    const version = request.headers['mcp-protocol-version'] as string | undefined;
    if (version !== undefined && !PROTOCOL_VERSIONS.includes(version)) {
      return sendAnswer(response, problemAnswer(unsupported(version), undefined));
    }
    const edge = version === MODERN_VERSION ? modern : legacy;
    const exchange = { request, response, caller, scope, body: undefined };
    return request.method === 'GET' ? edge.get(exchange) : edge.delete(exchange);
  }

  async function refuseCaller(request: HttpRequest, response: HttpResponse, { refusal }: Refused): Promise<void> {
    if (refusal.kind !== 'unauthenticated' || refusal.error !== 'missing_token') {
      gateway.recordRefusal({ at: 'mcp', reason: reasonOf(refusal) });
    }
    if (refusal.kind === 'unauthenticated')
      return sendAnswer(response, unauthenticatedAnswer(null, refusal, challenge));
    const read = request.method === 'POST' ? await readBody(request, options.maxBodyBytes) : undefined;
    const body = read === undefined || 'problem' in read ? undefined : read.text;
    sendAnswer(response, barredAnswer(refusal, request, body, challenge));
  }

  /** RFC 9700 §4.3.2: addresses end up in logs and histories. Refused even with a good header, so that nobody gets used to it. */
  function refuseQuery(response: HttpResponse): void {
    const reason = 'a token in the address is not accepted: send it as Authorization: Bearer, and renew this one';
    gateway.recordRefusal({ at: 'mcp', reason: 'token in a query string' });
    sendAnswer(response, errorAnswer(400, null, RPC.invalidRequest, reason));
  }
}

function answered(response: HttpResponse, answer: HttpAnswer): undefined {
  sendAnswer(response, answer);
  return undefined;
}

function findPostProblem({ headers }: HttpRequest): HttpAnswer | undefined {
  if (!isJson(headers['content-type'])) {
    return errorAnswer(415, null, RPC.invalidRequest, 'Content-Type must be application/json');
  }
  return acceptsJson(headers.accept)
    ? undefined
    : errorAnswer(406, null, RPC.invalidRequest, 'Accept must name application/json and text/event-stream');
}

/** Legacy clients need not send `Mcp-Method` and `Mcp-Name`; what they say of a batch cannot be true of each message in it. */
function findLegacyMismatch({ headers }: HttpRequest, body: unknown): string | undefined {
  if (headers['mcp-method'] === undefined && headers['mcp-name'] === undefined) return undefined;
  if (Array.isArray(body)) return 'headers Mcp-Method and Mcp-Name cannot describe a batch';
  if (!isJsonObject(body) || typeof body.method !== 'string') return undefined;
  return findNameMismatch(body.method, isJsonObject(body.params) ? body.params : NO_PARAMS, headers, false);
}

function problemAnswer({ code, reason, data }: EraProblem, body: unknown): HttpAnswer {
  return errorAnswer(400, idOf(body), code, reason, data);
}
