import type { Revocation, RevocationAction } from './revocation.ts';
import { subjectText } from './revocation.ts';

/** How far a revocation log was read, as a trail remembers it. */
export interface LogPosition {
  readonly position: number;
  /** Of the row there, as the trail tells it; undefined where it says the position alone. */
  readonly row: LogRow | undefined;
}

/** What a row of the revocation log orders. */
export interface LogRow {
  readonly action: RevocationAction;
  readonly subject: string;
  readonly by: string;
  readonly reason: string;
}

export const logRowOf = ({ action, subject, by, reason }: Revocation): LogRow => ({
  action,
  subject: subjectText(subject),
  by,
  reason,
});

/** Undefined for what is none. */
export function readLogPosition(said: unknown): LogPosition | undefined {
  const { position, action, subject, by, reason } = (said ?? {}) as Record<string, unknown>;
  if (!Number.isSafeInteger(position) || (position as number) < 0) return undefined;
  const isWhole = [action, subject, by, reason].every((text) => typeof text === 'string');
  return {
    position: position as number,
    row: isWhole ? ({ action, subject, by, reason } as LogRow) : undefined,
  };
}

/** Whether a log that has `found` at the position that a trail remembers, and ends at `head`, is the one that was read. */
export function isSetBack({ position, row }: LogPosition, head: number, found: Revocation | undefined): boolean {
  if (head < position) return true;
  if (row === undefined || position === 0) return false;
  if (found?.position !== position) return true;
  return !isSameRow(logRowOf(found), row);
}

export const isSameRow = (one: LogRow, other: LogRow): boolean =>
  one.action === other.action && one.subject === other.subject && one.by === other.by && one.reason === other.reason;
