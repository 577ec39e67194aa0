import { isJsonObject } from '../../domain/json.ts';
import type { LargeResult } from '../../seams/upstream.ts';
import type { LargeBody } from './http-exchange.ts';
import { ResultScanner } from './result-scanner.ts';
import { protocolFault, unreachable } from './upstream-faults.ts';
import { releasePiece } from './wire/piece-pool.ts';

/** The usual ways to write a reply up to its result: `jsonrpc` and `id` before it, in any order, or after it. */
const HEAD =
  /^[ \t\r\n]*\{[ \t\r\n]*((?:"(?:jsonrpc|id)"[ \t\r\n]*:[ \t\r\n]*(?:"2\.0"|\d{1,15})[ \t\r\n]*,[ \t\r\n]*){0,2})"result"[ \t\r\n]*:[ \t\r\n]*(?=\{)/;
const LONGEST_HEAD = 160;
const LONGEST_TAIL = 512;
/** Bytes that may wait for a slow reader before the upstream's socket is paused. */
const HIGH_WATER = 256 * 1024;

export interface LargeResultOptions {
  /** Id of the request that the reply must be for. */
  readonly id: number;
  readonly maxBytes: number;
  readonly where: string;
  /** Stops and starts the flow of bytes from the upstream. */
  readonly pause: () => void;
  readonly resume: () => void;
  /** The reader has had enough, or what it reads is wrong. */
  readonly abort: (error: Error) => void;
  /** Something has moved: the time without any starts anew. */
  readonly onProgress: () => void;
}

/** A reply whose result is passed on in pieces, cut out of its envelope, checked on the way, and never held. */
export class LargeResultReader implements LargeBody, LargeResult, AsyncIterator<Buffer, undefined> {
  readonly resultChunks: AsyncIterable<Buffer> = { [Symbol.asyncIterator]: () => this };
  readonly release = releasePiece;
  readonly #options: LargeResultOptions;
  readonly #scanner: ResultScanner;
  readonly #envelope: string;
  #tail: Buffer | undefined;
  #queue: Buffer[] = [];
  #queued = 0;
  #passed = 0;
  #isPaused = false;
  #isEnded = false;
  #fault: Error | undefined;
  #wake: (() => void) | undefined;

  /** @returns undefined where the reply is written in an unusual order */
  static of(head: Buffer, options: LargeResultOptions): LargeResultReader | undefined {
    const found = HEAD.exec(head.toString('latin1', 0, LONGEST_HEAD));
    if (found === null) return undefined;
    const reader = new LargeResultReader(found[1] as string, options);
    reader.push(head.subarray(found[0].length));
    return reader;
  }

  private constructor(envelope: string, options: LargeResultOptions) {
    this.#envelope = envelope;
    this.#options = options;
    this.#scanner = new ResultScanner(options.where);
  }

  push(chunk: Buffer): void {
    if (this.#fault !== undefined) return;
    this.#options.onProgress();
    this.#passed += chunk.length;
    try {
      this.#take(chunk);
    } catch (error) {
      this.#giveUp(error as Error);
    }
  }

  end(): void {
    if (this.#fault !== undefined) return;
    try {
      this.#checkEnvelope();
      this.#isEnded = true;
    } catch (error) {
      this.#fault = error as Error;
    }
    this.#wakeReader();
  }

  fail(error: Error): void {
    this.#fault ??= error;
    this.#queue = [];
    this.#wakeReader();
  }

  async next(): Promise<IteratorResult<Buffer, undefined>> {
    for (;;) {
      if (this.#fault !== undefined) throw this.#fault;
      const chunk = this.#queue.shift();
      if (chunk !== undefined) {
        this.#queued -= chunk.length;
        this.#options.onProgress();
        this.#flow();
        return { done: false, value: chunk };
      }
      if (this.#isEnded) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  return(): Promise<IteratorResult<Buffer, undefined>> {
    if (!this.#isEnded && this.#fault === undefined)
      this.#giveUp(unreachable('The reply was not wanted to its end', { where: this.#options.where }));
    this.#queue = [];
    return Promise.resolve({ done: true, value: undefined });
  }

  #take(chunk: Buffer): void {
    if (this.#passed > this.#options.maxBytes) throw this.#protocol(`exceeds ${this.#options.maxBytes} bytes`);
    if (this.#tail !== undefined) {
      this.#tail = Buffer.concat([this.#tail, chunk]);
    } else {
      const end = this.#scanner.push(chunk);
      const piece = end === -1 ? chunk : chunk.subarray(0, end);
      // A copy: the piece may be another's before the end has come.
      if (end !== -1) this.#tail = Buffer.from(chunk.subarray(end));
      this.#queue.push(piece);
      this.#queued += piece.length;
      this.#flow();
      this.#wakeReader();
    }
    if (this.#tail !== undefined && this.#tail.length > LONGEST_TAIL) throw this.#protocol('is followed by too much');
  }

  #flow(): void {
    const isFull = this.#queued > HIGH_WATER;
    if (isFull === this.#isPaused) return;
    this.#isPaused = isFull;
    if (isFull) this.#options.pause();
    else this.#options.resume();
  }

  /** What stands around the result must be the rest of one JSON-RPC reply to our request, and nothing else. */
  #checkEnvelope(): void {
    const tail = /^[ \t\r\n]*(,?)([\s\S]*)$/.exec(this.#tail?.toString('utf8') ?? '');
    const isFollowed = tail?.[1] === ',';
    const before = this.#members(`${this.#envelope.replace(/,[ \t\r\n]*$/, '')}}`);
    const after = this.#members(tail?.[2] ?? '');
    if (isFollowed !== Object.keys(after).length > 0) throw this.#protocol('is not in a well-formed reply');
    const names = [...Object.keys(before), ...Object.keys(after)].sort().join();
    const all = { ...before, ...after };
    if (names === 'id,jsonrpc' && all.id === this.#options.id && all.jsonrpc === '2.0') return;
    throw this.#protocol('is not in a reply to the request');
  }

  /** @param text without its opening brace */
  #members(text: string): Record<string, unknown> {
    try {
      const members: unknown = JSON.parse(`{${text}`);
      if (isJsonObject(members)) return members;
    } catch {
      // said below
    }
    throw this.#protocol('is not in a well-formed reply');
  }

  #giveUp(error: Error): void {
    this.fail(error);
    this.#options.abort(error);
  }

  #wakeReader(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #protocol(what: string): Error {
    return protocolFault(`A large result ${what}`, { where: this.#options.where });
  }
}
