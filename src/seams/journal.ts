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

/** A run of payloads that is kept, or removed, as a whole. */
export interface JournalSegment {
  /** Position of its first payload, and the one behind its last. */
  readonly first: number;
  readonly end: number;
  /** Milliseconds since 1970. */
  readonly begunAt: number;
  /** What its payloads take of the disk. */
  readonly bytes: number;
}

/** What is about to be removed for good, as it goes on the record before. */
export interface SegmentRemoval {
  /** Positions from `first` up to `end`, which is not one of them. */
  readonly first: number;
  readonly end: number;
  readonly segments: number;
  readonly bytes: number;
  /** Root of the tree over everything before `end`, base64: what was removed can be told from anything else by it. */
  readonly root: string;
}

/** Extra of a journal that lies in segments: old ones can be removed, and what is left still proves itself. */
export interface SegmentedJournal extends Journal {
  /** Those whose payloads are there, oldest first; the last one is being written to. */
  segments(): Promise<readonly JournalSegment[]>;
  /** The next payload begins a new segment, unless the current one is empty. */
  endSegment(): void;
  /**
   * Removes the payloads of all whole segments before a position, oldest first, as far as a signed tree head covers them; their leaf
   * hashes stay. `announce` makes it durable first: what it throws keeps everything.
   * @returns what was removed; undefined when there is nothing to remove
   */
  removeBefore(
    position: number,
    announce: (removal: SegmentRemoval) => Promise<unknown>,
  ): Promise<SegmentRemoval | undefined>;
  /**
   * Lets go of signed tree heads over whole segments before a position that others over the same segment stand for; where that is few, of none.
   * @returns how many
   */
  thinCheckpoints(before: number): Promise<number>;
}
