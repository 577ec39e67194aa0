import { watch } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { runRemit } from '../demo/run-remit.ts';
import type { Random } from '../harness/random.ts';
import {
  type Decide,
  type Fate,
  type Point,
  type Request,
  startTcpProxy,
  type TcpProxy,
} from '../harness/tcp-proxy.ts';
import { callAdmin } from '../src/cli/admin-client.ts';
import { placesOf } from '../src/compose/workspace.ts';
import { loadConfig } from '../src/config/load-config.ts';
import { classify } from './caught.ts';
import { awaitNoExcess, checkRows, checkTrail, excusedUntil } from './check.ts';
import type { Downstream } from './downstream.ts';
import type { Home } from './estate.ts';
import { type FakeTools, startFakeTools } from './fake-tools.ts';
import { descendants, type GatewayProcess, isStillThere, processesOf, startGateway } from './gateway.ts';
import { readLeases, readLeasesLeft, readTrail } from './ledger.ts';
import { runLoad, type Survivors } from './load.ts';
import { nameOf, type Plan } from './steps.ts';
import { Stops } from './stops.ts';
import { count, type Tally } from './tally.ts';
import { weather } from './wire.ts';

/** Longest that a kill waits for its step under load. */
const STEP_WITHIN_MS = 5_000;
/** Longest that processes of a killed gateway may live. */
const CHILDREN_WITHIN_MS = 5_000;

/** One line of kills and restarts, over downstreams of its own. */
export interface Lane {
  readonly name: string;
  readonly downstreams: readonly Downstream[];
  readonly proxies: ReadonlyMap<string, TcpProxy>;
  readonly tools: FakeTools;
  readonly random: Random;
  readonly tally: Tally;
  readonly say: (line: string) => void;
  /** Leases and where kills caught them, so that each counts once. */
  readonly seen: Set<string>;
  /** The gateway that runs now, and how it is to die. */
  trap: Trap | undefined;
  close(): Promise<void>;
}

interface Trap {
  readonly gateway: GatewayProcess;
  readonly plan: Plan;
  isArmed: boolean;
  skip: number;
  /** Where it happened; undefined while it has not. */
  sprungAt: string | undefined;
  /** The lease whose issue is still on its way to the downstream. */
  late: string | undefined;
}

export async function openLane(
  name: string,
  downstreams: readonly Downstream[],
  random: Random,
  tally: Tally,
  say: (line: string) => void,
): Promise<Lane> {
  const proxies = new Map<string, TcpProxy>();
  const rain = weather(random, tally.wire);
  const portOf = (kind: string): number => downstreams.find((one) => one.kind === kind)?.port ?? 0;
  const tools = await startFakeTools({
    postgres: { port: portOf('postgres'), database: 'shop' },
    redis: { port: portOf('redis') },
    onCall: () => springAt((plan) => plan.step.kind === 'tool' && plan.step.at === 'called'),
    onUsed: () => springAt((plan) => plan.step.kind === 'tool' && plan.step.at === 'used'),
  });
  const lane: Lane = {
    name,
    downstreams,
    proxies,
    tools,
    random,
    tally,
    say,
    seen: new Set(),
    trap: undefined,
    async close() {
      await tools.close();
      for (const proxy of proxies.values()) await proxy.close();
      for (const downstream of downstreams) await downstream.stop();
    },
  };
  function springAt(matches: (plan: Plan) => boolean): boolean {
    const { trap } = lane;
    return trap !== undefined && matches(trap.plan) && spring(trap);
  }
  for (const { kind, port, protocol } of downstreams) {
    const decide: Decide = (point, request) => {
      if (point === 'answered' && request.what === (kind === 'redis' ? 'create' : 'create-commit')) tally.issued += 1;
      return fateOf(lane, kind, point, request) ?? rain(point, request);
    };
    proxies.set(kind, await startTcpProxy({ host: '127.0.0.1', port, protocol, decide }));
  }
  return lane;
}

/** What the trap makes of a message; undefined where it is none of its. */
function fateOf(lane: Lane, downstream: string, point: Point, { what, tag }: Request): Fate | undefined {
  const { trap } = lane;
  if (trap === undefined) return undefined;
  const { step } = trap.plan;
  if (step.kind === 'late') {
    if (step.downstream !== downstream || step.what !== what || point !== 'sent' || !spring(trap)) return undefined;
    trap.late = tag;
    return { afterMs: lane.random.between(500, 3_000) };
  }
  if (step.kind !== 'wire' || step.downstream !== downstream || step.what !== what || step.point !== point)
    return undefined;
  if (!spring(trap)) return undefined;
  // What has not been sent yet died with its sender; so did the answer.
  return point === 'sent' || point === 'answered' ? 'lose' : undefined;
}

/** Kills, if this is the moment. @returns whether it was */
function spring(trap: Trap): boolean {
  if (!trap.isArmed || trap.sprungAt !== undefined || trap.gateway.hasExited()) return false;
  if (trap.skip > 0) {
    trap.skip -= 1;
    return false;
  }
  trap.sprungAt = nameOf(trap.plan.step);
  const { delayMs } = trap.plan;
  if (delayMs === 0) trap.gateway.kill();
  else setTimeout(() => trap.gateway.kill(), delayMs);
  return true;
}

/** Kills and restarts in one home, then lets everything end and looks that nothing is left. */
export async function runRound(lane: Lane, home: Home, plans: readonly Plan[]): Promise<void> {
  const { tally, random } = lane;
  const places = placesOf(await loadConfig(home.config));
  const excused = new Map<string, number>();
  const survivors: Survivors = new Set();
  const stops = new Stops();
  await mkdir(places.journal, { recursive: true, mode: 0o700 });
  /** Open leases of the gateway that was killed last. */
  let left: readonly string[] = [];

  for (const plan of plans) {
    const gateway = startGateway(home);
    const trap: Trap = { gateway, plan, isArmed: false, skip: plan.skip, sprungAt: undefined, late: undefined };
    lane.trap = trap;
    const at = `${lane.name}, kill ${tally.kills + 1} (${nameOf(plan.step)})`;
    const stopWatching = watchDisk(places.data, places.journal, trap);
    if (plan.step.kind === 'start-up') {
      trap.isArmed = true;
      setTimeout(() => spring(trap), plan.delayMs);
      trap.skip = 0;
    }
    trap.isArmed ||= plan.isEarly && plan.step.kind !== 'random';
    const url = await gateway.serving.catch((error: unknown) => {
      if (trap.sprungAt === undefined) throw error;
      return undefined;
    });
    let children: string[] = [];
    if (url !== undefined && !gateway.hasExited()) {
      children = descendants(gateway.pid);
      tally.startMs.push(performance.now() - gateway.startedAt);
      // Nothing new begins before what the last one left is gone.
      if (trap.sprungAt === undefined) {
        await inspect(lane, home, trap, excused, left, at);
        if (!gateway.hasExited()) left = [];
      }
      let isOver = false;
      const load = runLoad({
        home,
        url,
        socket: places.socket,
        random,
        survivors,
        stops,
        found: (detail) =>
          tally.findings.push({ what: 'a stop does not hold in the next gateway', detail: `${at}: ${detail}` }),
        counts: tally.load,
        isOver: () => isOver || gateway.hasExited(),
      });
      trap.isArmed = true;
      const timer = plan.step.kind === 'random' ? setTimeout(() => spring(trap), plan.delayMs) : undefined;
      if (timer !== undefined) trap.skip = 0;
      await within(gateway.exited, STEP_WITHIN_MS);
      clearTimeout(timer);
      if (!gateway.hasExited()) {
        count(tally.missed, nameOf(plan.step));
        trap.sprungAt ??= 'random point';
        gateway.kill();
      }
      await gateway.exited;
      isOver = true;
      await load;
    }
    await gateway.exited;
    stopWatching();
    lane.trap = undefined;
    tally.kills += 1;
    count(tally.byStep, trap.sprungAt ?? 'random point');
    left = await examine(lane, home, trap, excused, children, left, at);
    lane.say(
      `${at}: killed ${Math.round(performance.now() - gateway.startedAt)} ms after its start, ${left.length} leases open`,
    );
  }

  await endRound(lane, home, excused, left, places.socket);
}

/** What a killed gateway leaves: processes, which must go by themselves, and leases. @returns ids of those that are open */
async function examine(
  lane: Lane,
  home: Home,
  trap: Trap,
  excused: Map<string, number>,
  children: readonly string[],
  before: readonly string[],
  at: string,
): Promise<readonly string[]> {
  const { tally } = lane;
  const [rows, records, alive] = await Promise.all([
    readLeasesLeft(home),
    readTrail(home),
    Promise.all(lane.downstreams.map((downstream) => downstream.alive())),
  ]);
  for (const [lease, place] of classify(rows, records, alive.flat())) {
    // A lease that waits for its issue deadline is met by kill after kill: each place of each counts once.
    if (lane.seen.has(`${lease} ${place}`)) continue;
    lane.seen.add(`${lease} ${place}`);
    count(tally.caught, place);
  }
  const late = rows.find(({ tag }) => tag === trap.late);
  if (late !== undefined) excused.set(late.tag, excusedUntil(late));
  const living = (): string[] => [...children.filter(isStillThere), ...processesOf(home)];
  const until = performance.now() + CHILDREN_WITHIN_MS;
  while (living().length > 0 && performance.now() < until) await pause(20);
  if (living().length > 0)
    tally.findings.push({ what: 'processes of a killed gateway live', detail: `${at}: ${living().join(', ')}` });
  const open = rows.filter(({ state }) => state !== 'ended' && state !== 'lapsing').map(({ id }) => id);
  return [...new Set([...before, ...open])];
}

/** After a restart: live credentials are those of leases that are active or lapsing, and the trail is whole. */
async function inspect(
  lane: Lane,
  home: Home,
  { gateway }: Trap,
  excused: ReadonlyMap<string, number>,
  left: readonly string[],
  at: string,
): Promise<void> {
  const { tally } = lane;
  tally.restarts += 1;
  const excess = await awaitNoExcess(home, lane.downstreams, excused);
  if (gateway.hasExited()) return;
  tally.cleanAfterMs.push(performance.now() - gateway.startedAt);
  for (const { tag, why } of excess) if (!tally.alive.has(tag)) tally.alive.set(tag, `before ${at}: ${why}`);
  await checkRows(home, left, tally, at);
  if (gateway.hasExited()) return;
  await checkTrail(home, tally, at);
}

async function endRound(
  lane: Lane,
  home: Home,
  excused: Map<string, number>,
  left: readonly string[],
  socket: string,
): Promise<void> {
  const { tally } = lane;
  const at = `${lane.name}, end of a round`;
  const gateway = startGateway(home);
  const url = await gateway.serving;
  await inspect(lane, home, { gateway } as Trap, excused, left, at);
  const tasks = new Set((await readTrail(home)).flatMap(({ task }) => (task === undefined ? [] : [task])));
  for (const task of tasks) await callAdmin(socket, 'end-task', { task });
  // Leases whose issue may still have been under way are held to be open until their deadline is past (L4).
  const until = performance.now() + 30_000;
  const isDone = async (): Promise<boolean> => {
    const alive = (await Promise.all(lane.downstreams.map((downstream) => downstream.alive()))).flat();
    return alive.length === 0 && (await readLeases(home)).every(({ state }) => state === 'ended');
  };
  while (!(await isDone()) && performance.now() < until) await pause(100);
  for (const object of (await Promise.all(lane.downstreams.map((downstream) => downstream.alive()))).flat()) {
    if (!tally.alive.has(object.tag)) tally.alive.set(object.tag, `${at}: all tasks have ended; gateway ${url}`);
  }
  for (const row of await readLeases(home)) {
    if (row.state !== 'ended')
      tally.findings.push({ what: 'a lease does not end', detail: `${at}: ${row.id} ${row.state}` });
  }
  tally.outcomesUnknown += (await readTrail(home)).filter(
    ({ type, detail }) => type === 'outcome' && detail.status === 'outcome_unknown',
  ).length;
  const code = await gateway.stop();
  if (code !== 0) tally.findings.push({ what: 'the gateway did not stop cleanly', detail: `${at}: ${code}` });
  // The command that an auditor would run, on the whole trail of all these gateways.
  Object.assign(process.env, home.environment);
  await runRemit(['audit', 'verify', '--config', home.config]).catch((error: unknown) =>
    tally.findings.push({ what: 'remit audit verify', detail: `${at}: ${String(error)}` }),
  );
}

/** Every change of the store's and the journal's files is a step of some lease. */
function watchDisk(data: string, journal: string, trap: Trap): () => void {
  if (trap.plan.step.kind !== 'disk') return () => {};
  trap.skip *= 7;
  const watchers = [data, journal].map((folder) =>
    watch(folder, (_, file) => {
      if (file !== null && /-wal$|\.log$/.test(file)) spring(trap);
    }),
  );
  return () => {
    for (const watcher of watchers) watcher.close();
  };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const within = (promise: Promise<void>, ms: number): Promise<void> => Promise.race([promise, pause(ms)]);

export const proxyPort = (lane: Lane, kind: string): number => lane.proxies.get(kind)?.port ?? 0;
