import type { Random } from '../harness/random.ts';
import { openTaskSession, type TaskSession } from '../src/agent/task-session.ts';
import { callAdmin } from '../src/cli/admin-client.ts';
import { ALL, type RevocationSubject, subjectText } from '../src/domain/revocation.ts';
import { AGENTS, type Home } from './estate.ts';
import { readLeases } from './ledger.ts';
import { order, type Stop, type Stops } from './stops.ts';

export interface LoadCounts {
  tasks: number;
  calls: number;
  /** Calls whose credential opened the downstream. */
  looked: number;
  endings: { ended: number; abandoned: number; byAdministrator: number; leaseRevoked: number; killed: number };
  /** Tasks that were suspended and resumed; agents, connectors and everything that was stopped and let go on. */
  suspended: number;
  stopped: number;
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
  readonly stops: Stops;
  /** Told of a stop that does not hold. */
  readonly found: (detail: string) => void;
  readonly counts: LoadCounts;
  readonly isOver: () => boolean;
}): Promise<void> {
  const { home, url, socket, random, survivors, stops, counts, isOver } = options;

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
    const session = await openSession(random.pick(AGENTS));
    counts.tasks += 1;
    return session;
  }

  const openSession = (agent: string): Promise<TaskSession> =>
    openTaskSession({
      gateway: url,
      agent,
      key: home.keys.get(agent) as NonNullable<ReturnType<Home['keys']['get']>>,
      task: { declare: { template: 'work', duration_seconds: random.pick(DURATIONS_S) } },
      clock: Date.now,
    });

  /** What was stopped under a gateway that is dead holds under this one (V1); then it is let go on. */
  async function liftWhatHolds(): Promise<void> {
    const stop = stops.now;
    if (stop?.isAcknowledged === true && (await isServed(stop.subject))) {
      options.found(`${subjectText(stop.subject)} was ${stop.action === 'suspend' ? 'suspended' : 'stopped'}`);
    }
    await stops.lift(socket);
  }

  async function isServed({ kind, id }: RevocationSubject): Promise<boolean> {
    const agent = kind === 'agent' ? id : AGENTS[0];
    const session = await openSession(agent).catch(() => undefined);
    if (session !== undefined && kind !== 'connector') return true;
    const survivor = [...survivors].find(({ granted }) => granted.agent === agent);
    const connector = kind === 'connector' ? id : (home.connectors[0] as string);
    const known = [session, survivor].filter((one) => one !== undefined);
    return (await Promise.all(known.map((one) => look(one, connector).catch(() => false)))).includes(true);
  }

  async function look(session: TaskSession, connector = random.pick(home.connectors)): Promise<boolean> {
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
        params: { name: `${connector}__look`, arguments: {} },
      }),
      signal: AbortSignal.timeout(15_000),
    });
    const hasLooked = (await response.text()).includes('looked');
    if (hasLooked) counts.looked += 1;
    return hasLooked;
  }

  async function finish(session: TaskSession): Promise<void> {
    const { endings } = counts;
    const choice = random.below(13);
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
    } else if (choice < 10) endings.abandoned += 1;
    else if (choice < 11) await suspendAndResume(session);
    else if (choice < 12) {
      await order(socket, 'revoke', { kind: 'task', id: session.granted.task });
      endings.killed += 1;
    } else await stopAndLift();
  }

  async function suspendAndResume(session: TaskSession): Promise<void> {
    const subject = { kind: 'task', id: session.granted.task } as const;
    await order(socket, 'suspend', subject);
    await pause(random.between(0, 300));
    await order(socket, 'resume', subject);
    counts.suspended += 1;
    await look(session);
  }

  async function stopAndLift(): Promise<void> {
    const [action, subject] = random.pick<readonly [Stop['action'], RevocationSubject]>([
      ['suspend', { kind: 'agent', id: random.pick(AGENTS) }],
      ['revoke', { kind: 'agent', id: random.pick(AGENTS) }],
      ['suspend', { kind: 'connector', id: random.pick(home.connectors) }],
      ['revoke', ALL],
    ]);
    if (!(await stops.stop(socket, action, subject))) return;
    await pause(random.between(0, 400));
    await stops.lift(socket);
    counts.stopped += 1;
  }

  // Killed meanwhile: the next one is asked.
  await liftWhatHolds().catch(() => {});
  await Promise.all(Array.from({ length: WORKERS }, work));
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
