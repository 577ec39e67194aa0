import type { Schedule } from '../seams/clock.ts';

/** Waits for `promise` until the signal aborts, then rejects with `late()`; the promise itself goes on. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(late());
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/** Waits for `promise` for `ms` at most, then rejects with `late()`. */
export function within<T>(promise: Promise<T>, ms: number, schedule: Schedule, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = schedule(ms, () => reject(late()));
    promise.then(resolve, reject).finally(cancel);
  });
}
