import { MOST_APART_MS } from './bounds.ts';

/**
 * By how much the clock here is away from the store's, at least, in milliseconds: positive where it is ahead. The store read its own at some moment
 * between two readings here, so that neither a slow answer nor a process that stood still makes a difference.
 */
export function clockDifference(before: number, there: number, after: number): number {
  return there < before ? before - there : Math.min(after - there, 0);
}

/** What is wrong with a clock that is away by so much; undefined where it agrees. A difference that is no number does not. */
export function clockFault(awayMs: number): string | undefined {
  if (Math.abs(awayMs) <= MOST_APART_MS) return undefined;
  const seconds = Math.round(Math.abs(awayMs) / 1000);
  return `this host’s clock is ${seconds} seconds ${awayMs > 0 ? 'ahead of' : 'behind'} the database’s`;
}
