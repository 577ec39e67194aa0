/** Runs work with at most `atOnce` running per key; the rest waits in order. */
export type Limiter = <T>(key: string, work: () => Promise<T>) => Promise<T>;

export function createLimiter(atOnce: number): Limiter {
  const lanes = new Map<string, { running: number; waiting: (() => void)[] }>();
  return async (key, work) => {
    const lane = lanes.get(key) ?? { running: 0, waiting: [] };
    lanes.set(key, lane);
    if (lane.running < atOnce) lane.running++;
    // Whoever ends hands its place over: it is never free in between.
    else await new Promise<void>((resolve) => lane.waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = lane.waiting.shift();
      if (next !== undefined) next();
      else if (--lane.running === 0) lanes.delete(key);
    }
  };
}
