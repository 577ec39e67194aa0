import { Pool } from 'undici';
import { above } from './calls.ts';
import { runLoad } from './load.ts';
import { residentMib } from './processes.ts';
import { type PartResult, type Setting, startBenchGateway } from './set-up.ts';

const BYTES = 10 * 1024 * 1024;
const AT_ONCE = 8;
/** In all: Node, Cedar and the store with it. */
const MOST_MIB = 150;
const SAMPLE_MS = 5;

/** What large results do to memory: eight of 10 MB at once, through a gateway that has just served some small calls. */
export async function measureLarge(setting: Setting): Promise<PartResult> {
  const gateway = await startBenchGateway(setting);
  const headers = await gateway.openTask();
  const target = { name: 'Remit', origin: gateway.url, headers, tool: 'echo__echo' };
  await runLoad(target, { calls: 500, concurrency: 8, value: (index) => `v${index % 16}` });
  const before = residentMib(gateway.pid);
  let peak = before;
  const sampling = setInterval(() => {
    peak = Math.max(peak, residentMib(gateway.pid));
  }, SAMPLE_MS);
  const pool = new Pool(gateway.url, { connections: AT_ONCE, pipelining: 1 });
  try {
    for (let round = 0; round < (setting.isQuick ? 2 : 5); round += 1) {
      await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => readOne(pool, headers, index)));
    }
  } finally {
    clearInterval(sampling);
    await pool.destroy();
  }
  const added = peak - before;
  const figure = `${AT_ONCE} results of 10 MB at once: peak ${peak.toFixed(0)} MiB, ${added.toFixed(0)} more than before`;
  setting.say(`\n${figure}`);
  return { figure, short: above('memory with large results', peak, MOST_MIB, ' MiB') };
}

/** Reads as it comes and keeps nothing, so that the load's own memory does not slow it down. */
async function readOne(pool: Pool, headers: Readonly<Record<string, string>>, id: number): Promise<void> {
  const { statusCode, body } = await pool.request({
    method: 'POST',
    path: '/mcp',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: { name: 'echo__echo', arguments: { value: 'large', bytes: BYTES } },
    }),
  });
  let length = 0;
  for await (const chunk of body) length += (chunk as Buffer).length;
  if (statusCode !== 200 || length < BYTES)
    throw new Error(`a large result came with ${statusCode} and ${length} bytes`);
}
