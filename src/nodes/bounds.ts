/** A node is lost when it has not said for so long, by the store's clock, that it is there. Milliseconds. */
export const TTL_MS = 4_000;

/**
 * For so long after it said so, counted from before it did and by a clock that is never set, a node may act as the owner of its tasks. Shorter than the time after which others
 * take over by what may pass between the question whether a call may go on and its going on, and by what two clocks may run apart.
 */
export const MEMBER_MS = 3_400;

/** How often a node says that it is there; several may fail. */
export const BEAT_MS = 500;

/** Tokens that one node gives are taken by another whose clock is 5 seconds away (`skewSeconds`): from the store's, which all share, half of that for each. */
export const MOST_APART_MS = 2_500;

/** How often it is looked for nodes that are lost, and for tasks that nobody owns. */
export const CARE_MS = 1_000;

/** Families that are taken over at a time. */
export const ADOPTED_AT_ONCE = 64;

/** So long a node may use what it holds of a shared pace; after half of it, it says what it has used, and gives back what it does not need. */
export const HOLD_MS = 3_000;

/** So long a pace of which nothing was left is not asked for. */
export const NOTHING_MS = 250;

/** So long another node is taken to own a task without being asked for anew. */
export const PLACE_MS = 2_000;

/** Places that are remembered (guarantee I3). */
export const MOST_PLACES = 20_000;
