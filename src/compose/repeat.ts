import type { Schedule } from '../seams/clock.ts';

/** Runs work again and again, each time `ms` after the last has finished; the returned function stops it. */
export function repeat(schedule: Schedule, ms: number, work: () => Promise<void>): () => void {
  let cancel = schedule(ms, again);
  let isStopped = false;
  function again(): void {
    void work().finally(() => {
      if (!isStopped) cancel = schedule(ms, again);
    });
  }
  return () => {
    isStopped = true;
    cancel();
  };
}
