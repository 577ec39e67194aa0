import { createHash, type Hash, hash } from 'node:crypto';
import { isRefused, type Refused } from '../../domain/refusal.ts';
import type { ErrorReply, SmallResult } from '../../seams/upstream.ts';

/** What came of a call, for its outcome record. No content: a digest and a size. */
export interface Outcome {
  readonly status: 'ok' | 'tool_error' | 'rpc_error' | 'input_required' | 'not_forwarded' | 'cancelled' | 'unknown';
  readonly [detail: string]: unknown;
}

/**
 * Reads off the reply what the record needs. `unknown` is the honest word when the request was written and no reply came:
 * the effect may have happened. So may that of a cancelled call: its status says why nobody waited, its effect is unknown.
 */
export function observe(reply: SmallResult | ErrorReply | Refused, durationMs: number, isCancelled: boolean): Outcome {
  if (isRefused(reply)) {
    const { refusal } = reply;
    if (refusal.kind !== 'unavailable') return { status: 'not_forwarded', durationMs, problem: refusal.kind };
    const { code: problem, isForwarded } = refusal;
    if (isForwarded !== true) return { status: 'not_forwarded', durationMs, problem };
    if (isCancelled) return { status: 'cancelled', effect: 'unknown', durationMs, problem };
    return { status: 'unknown', durationMs, problem };
  }
  if ('error' in reply) return { status: 'rpc_error', durationMs, code: reply.error.code };
  const { result, resultText } = reply;
  return {
    status: result.isError === true ? 'tool_error' : result.resultType === 'input_required' ? 'input_required' : 'ok',
    durationMs,
    resultBytes: Buffer.byteLength(resultText),
    resultDigest: hash('sha256', resultText),
  };
}

/** The same for a result that is never held: counts and hashes as it passes. What did not come to its end is `unknown`. */
export class ChunkObserver {
  #bytes = 0;
  readonly #hash: Hash = createHash('sha256');
  #isWhole = false;
  #problem: string | undefined;

  see(chunk: Buffer): void {
    this.#bytes += chunk.length;
    this.#hash.update(chunk);
  }

  end(): void {
    this.#isWhole = true;
  }

  fail(problem: string): void {
    this.#problem = problem;
  }

  outcome(durationMs: number): Outcome {
    const resultBytes = this.#bytes;
    if (!this.#isWhole) return { status: 'unknown', durationMs, resultBytes, problem: this.#problem ?? 'cut off' };
    return { status: 'ok', durationMs, resultBytes, resultDigest: this.#hash.digest('hex') };
  }
}
