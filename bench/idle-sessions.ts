import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http';
import { Pool } from 'undici';
import { above } from './calls.ts';
import { openSession } from './load.ts';
import { residentMib } from './processes.ts';
import { type PartResult, type Setting, startBenchGateway } from './set-up.ts';

const MOST_KB = 25;
const SETTLE_MS = 3_000;
const AT_ONCE = 16;
const BATCHES_PER_TASK = 5;
/** The bounds of a gateway are for its agents; this is about what it can hold. */
const BOUNDS = `sessions: { perTask: 100, perAgent: 20000, max: 20000 }
limits: { streamsPerTask: 100 }
`;

/** What an idle client costs: a legacy session with its GET stream open, the greater part of what a desktop client does all day. */
export async function measureSessions(setting: Setting): Promise<PartResult> {
  const wanted = setting.isQuick ? 1_000 : 5_000;
  const gateway = await startBenchGateway(setting, undefined, BOUNDS);
  const pool = new Pool(gateway.url, { connections: AT_ONCE, pipelining: 1 });
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
  const open: ClientRequest[] = [];
  try {
    let batches = 0;
    let headers: Record<string, string> = {};
    const openMany = async (from: number, to: number): Promise<void> => {
      for (let at = from; at < to; at += AT_ONCE) {
        if (batches++ % BATCHES_PER_TASK === 0) headers = await gateway.openTask();
        await Promise.all(
          Array.from({ length: Math.min(AT_ONCE, to - at) }, async () => {
            const target = { name: 'Remit', origin: gateway.url, headers };
            const session = await openSession(target, pool, true);
            open.push(await openStream(gateway.url, agent, { ...headers, ...session }));
          }),
        );
      }
    };
    // The first ones warm up code and pools; what each further one adds is what is asked.
    const warm = Math.ceil(wanted / 10);
    await openMany(0, warm);
    await settle();
    const before = residentMib(gateway.pid);
    await openMany(warm, warm + wanted);
    await settle();
    const after = residentMib(gateway.pid);
    const perSession = ((after - before) * 1024) / wanted;
    const figure = `${wanted} idle sessions with streams ${perSession.toFixed(1)} KB each`;
    setting.say(`\n${figure} (${before.toFixed(0)} → ${after.toFixed(0)} MiB)`);
    return { figure, short: above('an idle session', perSession, MOST_KB, ' KB') };
  } finally {
    for (const stream of open) stream.destroy();
    agent.destroy();
    await pool.destroy();
  }
}

function openStream(origin: string, agent: Agent, headers: Readonly<Record<string, string>>): Promise<ClientRequest> {
  return new Promise((resolve, reject) => {
    const call = request(`${origin}/mcp`, { agent, headers: { ...headers, accept: 'text/event-stream' } });
    call.on('error', reject);
    call.on('response', (response: IncomingMessage) => {
      response.resume();
      response.on('error', () => {});
      if (response.statusCode === 200) resolve(call);
      else reject(new Error(`the GET stream was answered ${response.statusCode}`));
    });
    call.end();
  });
}

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
