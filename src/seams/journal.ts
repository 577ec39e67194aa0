/** An append-only, tamper-evident log of opaque payloads. Cardinality: one per gateway process. */
export interface Journal {
  /**
   * Appends one payload; resolves with its position once it is durable. Natural batching, no timer.
   * @throws `ERR_JOURNAL_FULL` (no space), `ERR_JOURNAL_FAILED` (any other write fault; every later append fails too)
   */
  append(payload: Buffer): Promise<number>;
  /** Number of payloads that have been given a position: the next one's. */
  readonly size: number;
  /** Payloads in order from a position on, as they stood at the call. */
  read(from: number): AsyncIterable<{ position: number; payload: Buffer }>;
  /** Signs and stores a tree head over everything durable. */
  checkpoint(): Promise<void>;
  /** Flushes, signs a last checkpoint, closes the files. */
  close(): Promise<void>;
}
