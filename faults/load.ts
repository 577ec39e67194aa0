import { AGENTS, type Home } from '../crash/estate.ts';
import { openTaskSession } from '../src/agent/task-session.ts';

export interface LoadResult {
  calls: number;
  done: number;
  refused: number;
  /** Calls that had no answer at all within the bound: a hang. */
  hung: number;
  slowestMs: number;
}

/** Every refusal comes well within this: the journal's bound on a disk that hangs is ten seconds. */
const HANG_MS = 25_000;

/** Two agents that call all the time until it is over. Refusals and broken connections are expected; silence is not. */
export async function runLoad(home: Home, url: string, isOver: () => boolean): Promise<LoadResult> {
  const result: LoadResult = { calls: 0, done: 0, refused: 0, hung: 0, slowestMs: 0 };
  const key = (agent: string) => home.keys.get(agent) as NonNullable<ReturnType<Home['keys']['get']>>;

  async function bounded<T>(work: () => Promise<T>): Promise<T | undefined> {
    const began = performance.now();
    try {
      return await work();
    } catch (error) {
      if ((error as Error).name === 'TimeoutError') result.hung += 1;
      else result.refused += 1;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return undefined;
    } finally {
      result.slowestMs = Math.max(result.slowestMs, performance.now() - began);
    }
  }

  async function work(agent: string): Promise<void> {
    const task = { declare: { template: 'work', duration_seconds: 60 } };
    while (!isOver()) {
      const session = await bounded(() =>
        openTaskSession({ gateway: url, agent, key: key(agent), task, clock: Date.now }),
      );
      if (session === undefined) continue;
      for (let call = 0; call < 20 && !isOver(); call += 1) {
        result.calls += 1;
        const text = await bounded(async () => {
          const authorization = `Bearer ${await session.token()}`;
          const response = await fetch(session.mcpUrl, {
            method: 'POST',
            headers: {
              'content-type': 'application/json',
              accept: 'application/json, text/event-stream',
              authorization,
            },
            body: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"shop__look","arguments":{}}}',
            signal: AbortSignal.timeout(HANG_MS),
          });
          return await response.text();
        });
        if (text?.includes('looked') === true) result.done += 1;
        else if (text !== undefined) result.refused += 1;
      }
      if (!isOver()) await bounded(() => session.end());
    }
  }

  await Promise.all(AGENTS.map(work));
  return result;
}
