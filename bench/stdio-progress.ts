import { Pool } from 'undici';
import { median, openSession } from './load.ts';
import type { Variant } from './measure.ts';
import { cpuUs } from './processes.ts';

const EVENTS = 50;
const AT_ONCE = 8;

/** What a progress notification of a stdio server costs on its way to the client, of those that get there. */
export interface ProgressCost {
  readonly name: string;
  /** CPU microseconds of what stands in front, by events that the server sent: with their share of the call. */
  readonly eventUs: number;
  /** Of the events that were sent, how many came to the client with the call that asked for them: 0 to 1. */
  readonly arrived: number;
}

/** Calls that send progress, in turns at each of those that are compared; the first turn warms up. */
export async function measureProgress(
  variants: readonly Variant[],
  options: { readonly calls: number; readonly rounds: number },
): Promise<ProgressCost[]> {
  const samples: Omit<ProgressCost, 'name'>[][] = variants.map(() => []);
  for (let round = -1; round < options.rounds; round += 1) {
    for (const [index, variant] of variants.entries()) {
      const sample = await callAll(variant, options.calls);
      if (round >= 0) samples[index]?.push(sample);
    }
  }
  return variants.map(({ name }, index) => {
    const column = samples[index] ?? [];
    return {
      name,
      eventUs: median(column.map((sample) => sample.eventUs)),
      arrived: median(column.map((sample) => sample.arrived)),
    };
  });
}

async function callAll(target: Variant, calls: number): Promise<Omit<ProgressCost, 'name'>> {
  const pool = new Pool(target.origin, { connections: AT_ONCE, pipelining: 1 });
  // Without a session there would be nobody to tell of progress; who has one keeps it.
  const headers = Object.hasOwn(target.headers, 'mcp-session-id') ? {} : await openSession(target, pool);
  const before = cpuUs(target.pid);
  let next = 0;
  let events = 0;
  const worker = async (): Promise<void> => {
    for (let id = next++; id < calls; id = next++) {
      const { statusCode, body } = await pool.request({
        method: 'POST',
        path: '/mcp',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          ...target.headers,
          ...headers,
        },
        body: JSON.stringify({
          jsonrpc: '2.0',
          id,
          method: 'tools/call',
          params: { name: target.tool, arguments: { value: 'e', events: EVENTS }, _meta: { progressToken: `p${id}` } },
        }),
      });
      const text = await body.text();
      if (statusCode !== 200 || !text.includes('"result":'))
        throw new Error(`${target.name} answered ${statusCode}: ${text.slice(0, 200)}`);
      events += text.split('"notifications/progress"').length - 1;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const sent = calls * EVENTS;
  const used = cpuUs(target.pid) - before;
  await pool.close();
  return { eventUs: used / sent, arrived: events / sent };
}
