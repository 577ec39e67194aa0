import type { Random } from '../harness/random.ts';
import { openTaskSession, type TaskSession } from '../src/agent/task-session.ts';
import { callAdmin } from '../src/cli/admin-client.ts';
import { AGENTS, type Home } from './estate.ts';
import { readLeases } from './ledger.ts';

export interface LoadCounts {
  tasks: number;
  calls: number;
  /** Calls whose credential opened the downstream. */
  looked: number;
  endings: { ended: number; abandoned: number; byAdministrator: number; leaseRevoked: number };
}

/** Sessions that go on in the next gateway, as an agent's would. */
export type Survivors = Set<TaskSession>;

const WORKERS = 4;
const SURVIVORS_AT_MOST = 4;
/** Short enough that some tasks and leases expire while a gateway runs, and some while none does. */
const DURATIONS_S = [1, 2, 5, 60];

/**
 * Several agents at once, each declaring tasks, calling tools under them, ending or abandoning them, until it is stopped. What fails because
 * the gateway was killed is what this is about, and nobody's error.
 */
export async function runLoad(options: {
  readonly home: Home;
  readonly url: string;
  readonly socket: string;
  readonly random: Random;
  readonly survivors: Survivors;
  readonly counts: LoadCounts;
  readonly isOver: () => boolean;
}): Promise<void> {
  const { home, url, socket, random, survivors, counts, isOver } = options;

  async function work(): Promise<void> {
    while (!isOver()) {
      const session = await takeSession().catch(() => undefined);
      if (session === undefined) {
        await pause(20);
        continue;
      }
      try {
        for (let call = random.below(3); call >= 0 && !isOver(); call--) await look(session);
        if (!isOver()) await finish(session);
      } catch {
        if (isOver() && survivors.size < SURVIVORS_AT_MOST) survivors.add(session);
      }
    }
  }

  async function takeSession(): Promise<TaskSession> {
    const [survivor] = survivors;
    if (survivor !== undefined && random.chance(0.5)) {
      survivors.delete(survivor);
      return survivor;
    }
    const agent = random.pick(AGENTS);
    const session = await openTaskSession({
      gateway: url,
      agent,
      key: home.keys.get(agent) as NonNullable<ReturnType<Home['keys']['get']>>,
      task: { declare: { template: 'work', duration_seconds: random.pick(DURATIONS_S) } },
      clock: Date.now,
    });
    counts.tasks += 1;
    return session;
  }

  async function look(session: TaskSession): Promise<void> {
    counts.calls += 1;
    const response = await fetch(session.mcpUrl, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        authorization: `Bearer ${await session.token()}`,
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name: `${random.pick(home.connectors)}__look`, arguments: {} },
      }),
      signal: AbortSignal.timeout(15_000),
    });
    if ((await response.text()).includes('looked')) counts.looked += 1;
  }

  async function finish(session: TaskSession): Promise<void> {
    const { endings } = counts;
    const choice = random.below(10);
    if (choice < 5) {
      await session.end();
      endings.ended += 1;
    } else if (choice < 7) {
      await callAdmin(socket, 'end-task', { task: session.granted.task });
      endings.byAdministrator += 1;
    } else if (choice < 8) {
      const lease = (await readLeases(home)).find(({ state }) => state === 'active');
      if (lease !== undefined) await callAdmin(socket, 'revoke-lease', { lease: lease.id });
      endings.leaseRevoked += 1;
    } else endings.abandoned += 1;
  }

  await Promise.all(Array.from({ length: WORKERS }, work));
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
