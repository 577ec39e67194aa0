import { Pool } from 'undici';
import { openSession, type Target } from './load.ts';
import { cpuUs } from './processes.ts';

const AT_ONCE = 8;

/** What calls cost that are told of their progress. */
export interface ProgressLoad {
  /** CPU microseconds of the process in the middle, over all calls. */
  readonly usedUs: number;
  /** Events that came with the calls that asked for them. */
  readonly arrived: number;
}

/**
 * Calls a tool that sends so many progress notifications each time, eight at once, within one session.
 * @param mustArrive whether it is a fault where one does not
 * @throws for a call without a result, or with a notification missing that must arrive
 */
export async function callWithProgress(
  target: Target & { readonly pid: number },
  { calls, events, mustArrive }: { readonly calls: number; readonly events: number; readonly mustArrive: boolean },
): Promise<ProgressLoad> {
  const pool = new Pool(target.origin, { connections: AT_ONCE, pipelining: 1 });
  // Without a session there would be nobody to tell of progress; who has one keeps it.
  const session = Object.hasOwn(target.headers, 'mcp-session-id') ? {} : await openSession(target, pool);
  const before = cpuUs(target.pid);
  let next = 0;
  let arrived = 0;
  const worker = async (): Promise<void> => {
    for (let id = next++; id < calls; id = next++) {
      const { statusCode, body } = await pool.request({
        method: 'POST',
        path: '/mcp',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          ...target.headers,
          ...session,
        },
        body: JSON.stringify({
          jsonrpc: '2.0',
          id,
          method: 'tools/call',
          params: { name: target.tool, arguments: { value: 'e', events }, _meta: { progressToken: `p${id}` } },
        }),
      });
      const text = await body.text();
      const came = text.split('"notifications/progress"').length - 1;
      if (statusCode !== 200 || (mustArrive && came !== events) || !text.includes('"result":'))
        throw new Error(`${target.name} answered ${statusCode} with ${came} events: ${text.slice(0, 200)}`);
      arrived += came;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const usedUs = cpuUs(target.pid) - before;
  await pool.close();
  return { usedUs, arrived };
}
