/** A revocation binds everywhere so long after it became durable, milliseconds (guarantee V1). */
export const BOUND_MS = 1_000;

/**
 * A reading of the log is good so long, counted from before it was asked for. Shorter than the bound by what may pass between the question
 * whether a call may go on and its going on.
 */
export const CONFIRMED_MS = 900;

/** Four readings a second: three may fail before the gateway denies. */
export const POLL_MS = 250;

/** Longest wait of a caller for a reading, where the last one is too old. */
export const RETRY_MS = 250;

/** Rows of one reading. */
export const BATCH = 500;
