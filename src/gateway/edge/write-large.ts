import type { Schedule } from '../../seams/clock.ts';
import type { LargeResult } from '../../seams/upstream.ts';
import type { HttpResponse } from './client-http.ts';
import { resultHead } from './render.ts';
import { oneLineBytes, type SseStream } from './sse-stream.ts';

/** A result too large to hold: `head` (all that stands before the result), the result's text in pieces, and a closing brace. */
export interface LargeAnswer {
  readonly id: string | number;
  readonly chunks: AsyncIterable<Buffer>;
  readonly head: string;
  /** Told of each piece that is with the system. */
  readonly release?: ((piece: Buffer) => void) | undefined;
}

export function largeAnswer(id: string | number, { resultChunks, release }: LargeResult): LargeAnswer {
  return { id, head: resultHead(id), chunks: resultChunks, release };
}

/** How a large answer went: `broken` when the connector's text broke off, `gone` when the client did or would not read. */
export type Written = 'whole' | 'broken' | 'gone';

/** A client that takes nothing for so long is given up: a connector's connection waits behind it. */
const STALL_MS = 30_000;

/**
 * Writes a large answer with backpressure. Nothing is written before the first piece is there, so that a connector that fails at once can
 * still be answered for. Never rejects; leaving early ends the iteration, and with it the exchange behind it.
 * @param before text to begin with: a head of `answer`, after what frames it
 */
export async function writeLarge(
  target: HttpResponse | SseStream,
  before: () => string,
  answer: LargeAnswer,
  after: string,
  schedule: Schedule,
): Promise<{ readonly written: Written; readonly hasBegun: boolean }> {
  const stream = 'response' in target ? target : undefined;
  const response = 'response' in target ? target.response : target;
  let hasBegun = false;
  try {
    for await (const chunk of answer.chunks) {
      if (response.destroyed || response.writableEnded) return { written: 'gone', hasBegun };
      if (!hasBegun) {
        hasBegun = true;
        stream?.flush();
        if (stream !== undefined) stream.isWithinEvent = true;
        if (stream === undefined) response.write(before());
        else stream.writePiece(before());
      }
      const line = stream === undefined ? chunk : oneLineBytes(chunk);
      const written = answer.release && releasing(answer.release, chunk);
      const isTaken = stream === undefined ? response.write(line, 'latin1', written) : stream.writePiece(line, written);
      if (!isTaken && !(await drained(response, schedule))) return { written: 'gone', hasBegun };
    }
  } catch {
    return { written: 'broken', hasBegun };
  }
  if (!hasBegun) return { written: 'broken', hasBegun };
  if (response.destroyed || response.writableEnded) return { written: 'gone', hasBegun };
  if (stream === undefined) response.write(after);
  else {
    stream.writePiece(after);
    stream.isWithinEvent = false;
  }
  return { written: 'whole', hasBegun };
}

/** Of a write that has failed nobody knows what is done with its bytes. */
function releasing(release: (piece: Buffer) => void, piece: Buffer): (error?: Error | null) => void {
  return (error) => {
    if (!error) release(piece);
  };
}

/** Resolves true when the client has taken what was written, false when it has gone or does not read. */
function drained(response: HttpResponse, schedule: Schedule): Promise<boolean> {
  return new Promise((resolve) => {
    if (response.destroyed) return resolve(false);
    const settle = (isDrained: boolean): void => {
      cancel();
      response.off('drain', onDrain).off('close', onClose);
      resolve(isDrained);
    };
    const onDrain = (): void => settle(true);
    const onClose = (): void => settle(false);
    const cancel = schedule(STALL_MS, () => {
      settle(false);
      response.destroy();
    });
    response.on('drain', onDrain).on('close', onClose);
  });
}
