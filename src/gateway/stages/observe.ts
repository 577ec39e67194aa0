import { hash } from 'node:crypto';
import { isRefused, type Refused } from '../../domain/refusal.ts';
import type { UpstreamReply } from '../../seams/upstream.ts';

/** What came of a call, for its outcome record. No content: a digest and a size. */
export interface Outcome {
  readonly status: 'ok' | 'tool_error' | 'rpc_error' | 'not_forwarded' | 'unknown';
  readonly [detail: string]: unknown;
}

/**
 * Reads off the reply what the record needs. `unknown` is the honest word when the request was written and no reply came:
 * the effect may have happened.
 */
export function observe(reply: UpstreamReply | Refused, durationMs: number): Outcome {
  if (isRefused(reply)) {
    const { refusal } = reply;
    const isUnknown = refusal.kind === 'unavailable' && refusal.code.startsWith('ERR_CONNECTOR');
    return {
      status: isUnknown ? 'unknown' : 'not_forwarded',
      durationMs,
      problem: refusal.kind === 'unavailable' ? refusal.code : refusal.kind,
    };
  }
  if ('error' in reply) return { status: 'rpc_error', durationMs, code: reply.error.code };
  return {
    status: reply.result.isError === true ? 'tool_error' : 'ok',
    durationMs,
    resultBytes: Buffer.byteLength(reply.resultText),
    resultDigest: hash('sha256', reply.resultText),
  };
}
