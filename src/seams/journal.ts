import type { RemitError } from '../domain/errors.ts';

/** An append-only, tamper-evident log of opaque payloads; a text is its UTF-8. Cardinality: one per gateway process. */
export interface Journal {
  /**
   * Appends one payload; resolves with its position once it is durable. Natural batching, no timer.
   * @throws `ERR_JOURNAL_FULL` (no space), `ERR_JOURNAL_FAILED` (any other write fault; every later append fails too)
   */
  append(payload: Buffer | string): Promise<number>;
  /**
   * Appends one payload that nobody waits for: it keeps its place in the order, and is durable with the next one that somebody waits for,
   * or within 20 ms. `onFault` is told if it cannot be; pass the same function each time.
   */
  appendLater(payload: Buffer | string, onFault: (fault: RemitError) => void): void;
  /** Number of payloads that have been given a position: the next one's. */
  readonly size: number;
  /** Payloads in order from a position on, as they stood at the call. */
  read(from: number): AsyncIterable<{ position: number; payload: Buffer }>;
  /** Signs and stores a tree head over everything durable. */
  checkpoint(): Promise<void>;
  /** Flushes, signs a last checkpoint, closes the files. */
  close(): Promise<void>;
}
