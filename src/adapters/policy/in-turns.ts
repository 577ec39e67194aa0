import { performance } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** Longest that work goes on without letting anything else happen. A step that takes longer cannot be helped. */
const A_TURN_MS = 8;

/** Runs work to its end, letting others in between its steps. @throws what it throws, and the reason of the signal, after its `finally` */
export async function inTurns<T>(steps: Generator<void, T>, signal?: AbortSignal): Promise<T> {
  let until = performance.now() + A_TURN_MS;
  try {
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
      if (performance.now() < until) continue;
      await nextTurn();
      signal?.throwIfAborted();
      until = performance.now() + A_TURN_MS;
    }
  } finally {
    // Where it was not run to its end.
    steps.return(undefined as never);
  }
}

/** The same work at once. */
export function atOnce<T>(steps: Generator<void, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
