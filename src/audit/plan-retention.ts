import type { JournalSegment } from '../seams/journal.ts';

/** What is kept of the trail; either bound is enough to let go. Both left out: everything. */
export interface KeptTrail {
  /** Records that are younger than so many days. */
  readonly days?: number | undefined;
  /** So many bytes on disk, the newest. */
  readonly bytes?: number | undefined;
}

export interface RetentionPlan {
  /** Position before which everything goes; 0 for nothing. */
  readonly before: number;
  /** Whether more would go if no task, credential or start needed it. */
  readonly isHeld: boolean;
}

const DAY_MS = 86_400_000;

/**
 * Which segments go: the oldest ones, whole, never the last one, and nothing that is needed.
 * @param needed position of the first record that a start, a live task or a live credential needs
 */
export function planRetention(of: {
  segments: readonly JournalSegment[];
  keep: KeptTrail;
  needed: number;
  now: number;
}): RetentionPlan {
  const { segments, keep, needed, now } = of;
  let bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  let closedAt = 0;
  let before = 0;
  for (const [index, segment] of segments.slice(0, -1).entries()) {
    // A clock that was set back makes a segment seem older than it is: the latest time seen so far is what counts.
    closedAt = Math.max(closedAt, segment.begunAt, segments[index + 1]?.begunAt ?? now);
    const isOld = keep.days !== undefined && closedAt + keep.days * DAY_MS <= now;
    const isTooMuch = keep.bytes !== undefined && bytes > keep.bytes;
    if (!isOld && !isTooMuch) break;
    if (segment.end > needed) return { before, isHeld: true };
    before = segment.end;
    bytes -= segment.bytes;
  }
  return { before, isHeld: false };
}
