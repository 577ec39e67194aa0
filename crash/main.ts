import { parseArgs } from 'node:util';
import { seededRandom } from '../harness/random.ts';
import { type Downstream, startPostgresDownstream, startRedisDownstream } from './downstream.ts';
import { type Home, makeHome } from './estate.ts';
import { type Lane, openLane, proxyPort, runRound } from './lane.ts';
import { endWithParent, enterNamespace, hasEntered } from './nodes/enter-namespace.ts';
import { openNamespaceNetwork } from './nodes/namespace-network.ts';
import type { Network } from './nodes/network.ts';
import { openProxyNetwork } from './nodes/proxy-network.ts';
import { runNodes } from './nodes/run-nodes.ts';
import { runUpgrade } from './nodes/run-upgrade.ts';
import { allSteps, dealPlans, nameOf, type Plan, planFor } from './steps.ts';
import { count, neverHit, newTally, report, type Tally } from './tally.ts';

/**
 * `npm run crash`: kill −9 of a gateway at each step of a lease and at random points, over real downstreams, then what is alive beyond its
 * lease (guarantee L5). docs/crash.md explains it.
 *
 *   --kills N      1000; with --quick 40
 *   --quick        PostgreSQL alone, out of npm: under two minutes
 *   --seed N       the same choices again; their timing is the machine's
 *   --lanes N      gateways side by side, each with downstreams of its own; as many as there are processors to use, and one
 *   --store NAME   sqlite or postgres alone
 *   --nodes N      kills, stops and cuts over N gateways on one PostgreSQL instead; --kills is how many
 *   --partitions NAME  with --nodes: namespaces (packets are lost), or proxy (connections are held up) where the host has none
 *   --upgrade      an older version's gateways are replaced by this one's under load instead; needs this checkout's history
 *   --verbose      a line for each kill
 */
const { values: options } = parseArgs({
  options: {
    kills: { type: 'string' },
    quick: { type: 'boolean', default: false },
    seed: { type: 'string' },
    lanes: { type: 'string' },
    store: { type: 'string' },
    nodes: { type: 'string' },
    partitions: { type: 'string', default: 'namespaces' },
    upgrade: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});

/** Kills in one home: enough to build upon each other, few enough that reading the whole trail after each stays cheap. */
const KILLS_A_HOME = 25;
/** Every so many homes keep their store in PostgreSQL, and start a connector's process besides. */
const POSTGRES_EVERY = 4;
const STDIO_EVERY = 3;
/** One for the whole task is what most have. */
const MODES = ['task', 'task', 'task_tool', 'call'] as const;
/** Chances of a step that did not come in time. */
const RETRIES = 2;

const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function main(): Promise<boolean> {
  if (options.upgrade) return await runUpgrade(say);
  const seed = number('seed', Date.now() % 1_000_000);
  const withRedis = !options.quick;
  const kills = number('kills', options.quick ? 40 : 1_000);
  if (options.nodes !== undefined) {
    const nodes = number('nodes', 3);
    if (nodes < 2) throw new Error('--nodes takes 2 at least: without it one gateway is killed');
    return await partition(nodes, kills, seed);
  }
  const lanes = number('lanes', options.quick ? 2 : 3);
  say(`crash: seed ${seed}; ${kills} kills in ${lanes} lanes, over PostgreSQL${withRedis ? ' and Redis' : ''}`);
  if (kills < allSteps(withRedis).length)
    say(`${kills} kills cannot come to each of ${allSteps(withRedis).length} steps`);
  const tally = newTally();
  const random = seededRandom(seed);
  const next = dealPlans(seededRandom(random.below(2 ** 31)), withRedis, kills);
  const opened: Lane[] = [];
  let dealt = 0;
  let homes = 0;
  const tried = new Map<string, number>();
  /** Steps that some lane is trying again. */
  const inHand = new Set<string>();
  const take = (): Plan[] => {
    const plans = Array.from({ length: Math.min(KILLS_A_HOME, Math.ceil(kills / lanes), kills - dealt) }, next);
    dealt += plans.length;
    return plans.length > 0 ? plans : again();
  };
  /** A step that did not come in time gets another chance, at its first occasion. */
  const again = (): Plan[] => {
    const missing = allSteps(withRedis).filter((step) => {
      const tries = tried.get(nameOf(step)) ?? 0;
      return !tally.byStep.has(nameOf(step)) && !inHand.has(nameOf(step)) && tries < RETRIES;
    });
    for (const step of missing) {
      inHand.add(nameOf(step));
      count(tried, nameOf(step));
    }
    return missing.map((step) => ({ ...planFor(step, random), skip: 0 }));
  };

  async function runLane(name: string): Promise<void> {
    const postgres = await startPostgresDownstream();
    const downstreams: Downstream[] = [postgres, ...(withRedis ? [await startRedisDownstream()] : [])];
    const lane = await openLane(
      name,
      downstreams,
      seededRandom(random.below(2 ** 31)),
      tally,
      options.verbose ? say : () => {},
    );
    opened.push(lane);
    for (let plans = take(); plans.length > 0; plans = take()) {
      const number_ = homes++;
      const isPostgres = options.store === undefined ? number_ % POSTGRES_EVERY === 1 : options.store === 'postgres';
      const database = `store_${number_}`;
      const store = isPostgres
        ? { url: await postgres.makeDatabase(database), variable: `REMIT_CRASH_${database.toUpperCase()}` }
        : undefined;
      const redis = downstreams.find(({ kind }) => kind === 'redis');
      const home = await makeHome({
        postgres: {
          port: proxyPort(lane, 'postgres'),
          password: postgres.password,
          toolsUrl: lane.tools.url('postgres'),
        },
        ...(redis !== undefined && {
          redis: { port: proxyPort(lane, 'redis'), password: redis.password, toolsUrl: lane.tools.url('redis') },
        }),
        modes: { shop: random.pick(MODES), cache: random.pick(MODES) },
        ...(number_ % STDIO_EVERY === 0 && { stdioPort: postgres.port }),
        store,
      });
      const from = performance.now();
      await runRound(lane, home, plans);
      await home.remove();
      for (const { step } of plans) inHand.delete(nameOf(step));
      say(progress(lane, home, plans.length, from, tally));
    }
  }

  try {
    await Promise.all(Array.from({ length: lanes }, (_, index) => runLane(`lane ${index + 1}`)));
  } finally {
    await Promise.all(opened.map((lane) => lane.close().catch(() => {})));
  }
  process.stdout.write(report(tally, withRedis));
  return (
    tally.alive.size === 0 &&
    tally.findings.length === 0 &&
    tally.load.looked > 0 &&
    neverHit(tally, withRedis).length === 0
  );
}

/** In a process of its own, within a namespace of its own, unless proxies are asked for. */
async function partition(nodes: number, faults: number, seed: number): Promise<boolean> {
  const go = (network: Network): Promise<boolean> =>
    runNodes({ nodes, network, faults, seed, say, isVerbose: options.verbose });
  if (options.partitions === 'proxy') return await go(openProxyNetwork());
  if (options.partitions !== 'namespaces') throw new Error('--partitions takes namespaces or proxy');
  if (hasEntered()) {
    endWithParent();
    return await go(await openNamespaceNetwork(nodes));
  }
  const ended = await enterNamespace();
  if ('code' in ended) return ended.code === 0;
  say(
    `crash: this host gives no network namespaces: ${ended.cannot}. Partitions by proxies, which lose no packet: --partitions proxy`,
  );
  return false;
}

function progress(lane: Lane, home: Home, kills: number, from: number, tally: Tally): string {
  const store = home.storeUrl === undefined ? 'SQLite' : 'PostgreSQL';
  const seconds = ((performance.now() - from) / 1000).toFixed(0);
  return `${lane.name}: ${kills} kills in ${seconds} s, store on ${store}, connectors ${home.connectors.join(', ')}; so far ${tally.kills} kills, ${tally.issued} credentials, alive ${tally.alive.size}, other findings ${tally.findings.length}`;
}

function number(name: 'kills' | 'seed' | 'lanes' | 'nodes', otherwise: number): number {
  const given = options[name];
  if (given === undefined) return otherwise;
  if (!/^\d+$/.test(given) || Number(given) === 0) throw new Error(`--${name} takes a whole number above 0`);
  return Number(given);
}

main().then(
  (isGood) => process.exit(isGood ? 0 : 1),
  (error: unknown) => {
    process.stderr.write(`crash failed: ${error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(1);
  },
);
