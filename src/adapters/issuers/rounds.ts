/**
 * One run at a time of something that takes along all that waits. Whoever asks joins the run that has not begun: one that has may have read
 * already. @returns what asks; it settles as that run does
 */
export function createRounds(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;
  return () => {
    next ??= running.then(() => {
      next = undefined;
      const round = run();
      running = round.catch(() => {});
      return round;
    });
    return next;
  };
}
