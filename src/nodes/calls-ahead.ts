import type { TaskMemory } from '../domain/node.ts';

/** As many calls as would be made in this time at the pace of late are told to the store before they are made. */
const AHEAD_MS = 40;
const MOST_AHEAD = 128;
/** Of what is left of a budget, one in so many at most. */
const SHARE_OF_BUDGET = 16;

/**
 * How many calls of a task the store is told of before they are made: none at the pace of a person or a model, a few milliseconds' worth at that of
 * a loop. The loss of a node costs the task's budget so many at most.
 * @param made calls since the store was told last, `withinMs` milliseconds ago
 * @param left of the budget
 */
export function callsAhead(made: number, withinMs: number, left: number): number {
  const atThisPace = Math.floor((made * AHEAD_MS) / Math.max(withinMs, 1));
  return Math.max(0, Math.min(atThisPace, MOST_AHEAD, Math.floor(left / SHARE_OF_BUDGET)));
}

/**
 * Whether the store knows the worst of a task already: it counts as many calls at least, and nothing else has changed. Parts are compared as
 * objects: whoever changes one makes another. What is counted against limits changes with every call.
 */
export function saysAll(kept: TaskMemory, now: TaskMemory): boolean {
  return (
    now.calls <= kept.calls &&
    now.prompt === kept.prompt &&
    now.flow === kept.flow &&
    now.risk === kept.risk &&
    now.usage === undefined &&
    kept.usage === undefined
  );
}
