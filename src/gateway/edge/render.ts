import type { Decision } from '../../domain/decision.ts';
import type { Refusal } from '../../domain/refusal.ts';
import type { UpstreamReply } from '../../seams/upstream.ts';

/** An HTTP answer, ready to be written. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

type Id = string | number | null;

export function resultAnswer(id: Id, resultText: string): HttpAnswer {
  return { status: 200, body: `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${resultText}}` };
}

export function errorAnswer(status: number, id: Id, code: number, message: string, data?: unknown): HttpAnswer {
  return {
    status,
    body: JSON.stringify({ jsonrpc: '2.0', id, error: { code, message, ...(data !== undefined && { data }) } }),
  };
}

export function replyAnswer(id: Id, reply: UpstreamReply): HttpAnswer {
  if ('resultText' in reply) return resultAnswer(id, reply.resultText);
  return errorAnswer(200, id, reply.error.code, reply.error.message, reply.error.data);
}

/**
 * Renders a refusal as clients show it best: a denial is a tool result with `isError: true` (a JSON-RPC error or a 403 reaches
 * people as a stack trace or as transport noise in several clients); only what the client can mend by authenticating again
 * is an HTTP 401.
 */
export function refusalAnswer(
  id: Id,
  refusal: Refusal,
  challenge: (error: string, reason: string) => string,
): HttpAnswer {
  switch (refusal.kind) {
    case 'unauthenticated':
      return {
        ...errorAnswer(401, id, -32001, refusal.reason),
        headers: { 'WWW-Authenticate': challenge(refusal.error, refusal.reason) },
      };
    case 'malformed':
      return errorAnswer(400, id, refusal.rpcCode, refusal.reason);
    case 'denied':
      return resultAnswer(id, JSON.stringify(denialResult(refusal.decision)));
    case 'unavailable':
      return resultAnswer(
        id,
        JSON.stringify({
          content: [
            {
              type: 'text',
              text: `Remit could not complete the call: ${refusal.reason} (${refusal.code}).\nNext step: ${refusal.nextStep}`,
            },
          ],
          isError: true,
          _meta: { 'io.remit/problem': { code: refusal.code } },
        }),
      );
  }
}

/** The reason, the policy id and the next step, for the model to read and for programs under `_meta`. */
function denialResult(decision: Decision): object {
  const { verdict, gate, policies, reason, nextStep, policyVersion } = decision;
  const by = policies.length > 0 ? ` [policy: ${policies.join(', ')}]` : '';
  return {
    content: [{ type: 'text', text: `Denied by Remit: ${reason}${by}\nNext step: ${nextStep}` }],
    isError: true,
    _meta: { 'io.remit/decision': { verdict, gate, policies, reason, nextStep, policyVersion } },
  };
}
