import { Pool } from 'undici';

export interface Target {
  readonly name: string;
  readonly origin: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Name under which the tool is called there. */
  readonly tool: string;
}

export interface LoadResult {
  readonly calls: number;
  readonly wallMs: number;
  /** Milliseconds, sorted. */
  readonly latencies: Float64Array;
}

/** Sends `calls` tool calls, `concurrency` at a time; throws on the first answer that is not the echo of what was sent. */
export async function runLoad(
  target: Target,
  options: { calls: number; concurrency: number; value: (index: number) => string },
): Promise<LoadResult> {
  const pool = new Pool(target.origin, { connections: options.concurrency, pipelining: 1 });
  const latencies = new Float64Array(options.calls);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < options.calls; index = next++) {
      const value = options.value(index);
      const startedAt = performance.now();
      const { statusCode, body } = await pool.request({
        method: 'POST',
        path: '/mcp',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          ...target.headers,
        },
        body: `{"jsonrpc":"2.0","id":${index},"method":"tools/call","params":{"name":"${target.tool}","arguments":{"value":"${value}"}}}`,
      });
      const text = await body.text();
      latencies[index] = performance.now() - startedAt;
      if (statusCode !== 200 || !text.includes(`"${value} xxx`))
        throw new Error(`${target.name} answered ${statusCode}: ${text.slice(0, 300)}`);
    }
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: options.concurrency }, worker));
  const wallMs = performance.now() - startedAt;
  await pool.close();
  return { calls: options.calls, wallMs, latencies: latencies.sort() };
}

export function percentile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  // Of an even number, the mean of the middle two: the lower one would flatter.
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2;
}
