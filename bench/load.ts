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

const HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

/** Every call's arguments are its own: nothing but the policy's answer can be used again. */
let serial = 0;

/**
 * Sends `calls` tool calls, `concurrency` at a time; throws on the first answer that is not the echo of what was sent.
 * @param options.value the argument that policies read
 */
export async function runLoad(
  target: Target,
  options: { calls: number; concurrency: number; value: (index: number) => string },
): Promise<LoadResult> {
  const pool = new Pool(target.origin, { connections: options.concurrency, pipelining: 1 });
  const headers = { ...HEADERS, ...target.headers };
  const latencies = new Float64Array(options.calls);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < options.calls; index = next++) {
      const value = options.value(index);
      const startedAt = performance.now();
      const { statusCode, body } = await pool.request({
        method: 'POST',
        path: '/mcp',
        headers,
        body: `{"jsonrpc":"2.0","id":${index},"method":"tools/call","params":{"name":"${target.tool}","arguments":{"value":"${value}","call":"${serial++}"}}}`,
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

/** Opens a legacy session and gives the headers that belong to it. @throws where the server gives none and `must` is set */
export async function openSession(
  target: Pick<Target, 'origin' | 'headers' | 'name'>,
  pool: Pool,
  must = false,
): Promise<Record<string, string>> {
  const post = async (body: object, more: Readonly<Record<string, string>> = {}) => {
    const reply = await pool.request({
      method: 'POST',
      path: '/mcp',
      headers: { ...HEADERS, ...target.headers, ...more },
      body: JSON.stringify(body),
    });
    const text = await reply.body.text();
    if (reply.statusCode >= 300) throw new Error(`${target.name} answered ${reply.statusCode}: ${text.slice(0, 300)}`);
    return reply.headers['mcp-session-id'];
  };
  const session = await post({
    jsonrpc: '2.0',
    id: 0,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'bench', version: '1' } },
  });
  if (must && typeof session !== 'string') throw new Error(`${target.name} gave no session id`);
  const headers: Record<string, string> = {
    'mcp-protocol-version': '2025-11-25',
    ...(typeof session === 'string' && { 'mcp-session-id': session }),
  };
  await post({ jsonrpc: '2.0', method: 'notifications/initialized' }, headers);
  return headers;
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
