import type { Decision } from '../../domain/decision.ts';
import { type Era, RPC } from '../../domain/era.ts';
import { isRefused, type Refusal, type Refused } from '../../domain/refusal.ts';
import type { ErrorReply, SmallResult } from '../../seams/upstream.ts';

/** An HTTP answer, ready to be written. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** `WWW-Authenticate` value for a refused request (RFC 6750 §3, RFC 9728 §5.1). */
export type Challenge = (error: string, reason: string) => string;

/** The request that a reply answers, as far as its rendering depends on it. */
export interface Answered {
  readonly era: Era;
  readonly id: string | number;
  readonly method: string;
}

type Id = string | number | null;

export function resultAnswer(id: Id, resultText: string): HttpAnswer {
  return { status: 200, body: `${resultHead(id)}${resultText}}` };
}

/** What stands before a result; `}` follows it. */
export function resultHead(id: Id): string {
  return `{"jsonrpc":"2.0","id":${typeof id === 'string' ? JSON.stringify(id) : id},"result":`;
}

export function errorAnswer(status: number, id: Id, code: number, message: string, data?: unknown): HttpAnswer {
  return {
    status,
    body: JSON.stringify({ jsonrpc: '2.0', id, error: { code, message, ...(data !== undefined && { data }) } }),
  };
}

export function methodNotAllowed(allow: string): HttpAnswer {
  return { ...errorAnswer(405, null, -32000, `This endpoint takes ${allow}`), headers: { Allow: allow } };
}

/** The reply to a request of either era. @throws when an error's `data` cannot be written out */
export function replyAnswer(
  request: Answered,
  reply: SmallResult | ErrorReply | Refused,
  challenge: Challenge,
): HttpAnswer {
  if ('resultText' in reply) return resultAnswer(request.id, reply.resultText);
  if (isRefused(reply)) return refusalAnswer(request, reply.refusal, challenge);
  const { code, message, data } = reply.error;
  return errorAnswer(statusOf(request.era, code), request.id, code, message, data);
}

/**
 * HTTP status of a JSON-RPC error that answers a request. In 2026-07-28 two have their own; every other is the payload and no HTTP failure.
 * A header mismatch or an unknown version from behind us is between us and the connector.
 */
function statusOf(era: Era, code: number): number {
  if (era === 'modern') return code === RPC.methodNotFound ? 404 : code === RPC.missingCapability ? 400 : 200;
  return 200;
}

/**
 * Renders a refusal as clients show it best: a denied tool call is a tool result with `isError: true` (a JSON-RPC error or a 403 reaches
 * people as a stack trace or as transport noise in several clients); other methods have no such result and get a JSON-RPC error;
 * only what the client can mend by authenticating again is an HTTP 401.
 */
export function refusalAnswer(request: Answered, refusal: Refusal, challenge: Challenge): HttpAnswer {
  const { id } = request;
  switch (refusal.kind) {
    case 'unauthenticated':
      return unauthenticatedAnswer(id, refusal, challenge);
    case 'malformed':
      return errorAnswer(statusOf(request.era, refusal.rpcCode), id, refusal.rpcCode, refusal.reason);
    case 'denied':
      return explained(request, RPC.denied, denialText(refusal.decision), {
        'io.remit/decision': denialData(refusal.decision),
      });
    case 'unavailable':
      return explained(
        request,
        RPC.notServed,
        `Remit could not complete the call: ${refusal.reason} (${refusal.code}).\nNext step: ${refusal.nextStep}`,
        { 'io.remit/problem': { code: refusal.code } },
      );
  }
}

export function unauthenticatedAnswer(
  id: Id,
  refusal: Extract<Refusal, { kind: 'unauthenticated' }>,
  challenge: Challenge,
): HttpAnswer {
  return {
    ...errorAnswer(401, id, -32001, refusal.reason),
    headers: { 'WWW-Authenticate': challenge(refusal.error, refusal.reason) },
  };
}

/** Text for the model to read, and for programs the same as `_meta` of a tool's result or `data` of an error. */
function explained({ era, id, method }: Answered, code: number, text: string, data: object): HttpAnswer {
  if (method !== 'tools/call') return errorAnswer(200, id, code, text, data);
  const result = { content: [{ type: 'text', text }], isError: true, _meta: data };
  return resultAnswer(id, JSON.stringify(era === 'modern' ? { resultType: 'complete', ...result } : result));
}

/** The reason, the policy id and the next step. */
function denialText({ verdict, policies, reason, nextStep }: Decision): string {
  const by = policies.length > 0 ? ` [policy: ${policies.join(', ')}]` : '';
  return `${verdict === 'step_up' ? 'Held' : 'Denied'} by Remit: ${reason}${by}\nNext step: ${nextStep}`;
}

function denialData({ verdict, gate, policies, reason, nextStep, policyVersion, flow, approval }: Decision): object {
  return {
    verdict,
    gate,
    policies,
    reason,
    nextStep,
    policyVersion,
    ...(flow && { flow }),
    ...(approval && { approval }),
  };
}
