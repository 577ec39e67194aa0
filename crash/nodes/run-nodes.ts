import pg from 'pg';
import { type Random, seededRandom } from '../../harness/random.ts';
import { awaitService } from './await-service.ts';
import { faultsOf, runFaults } from './faults.ts';
import { judge } from './judge.ts';
import { newStories, runLoad } from './load.ts';
import type { Network } from './network.ts';
import { openStage } from './stage.ts';

/**
 * `npm run crash -- --nodes N`: kills, stops and cuts N gateways on one PostgreSQL under load, and looks from outside at what must never happen.
 * @returns whether none of it did
 */
export async function runNodes(options: {
  readonly nodes: number;
  /** Closed in the end. */
  readonly network: Network;
  readonly faults: number;
  readonly seed: number;
  readonly say: (text: string) => void;
  readonly isVerbose: boolean;
}): Promise<boolean> {
  const { nodes, network, faults, seed, say, isVerbose } = options;
  say(`crash: seed ${seed}; ${faults} faults over ${nodes} gateways on one PostgreSQL`);
  const random = seededRandom(seed);
  const stage = await openStage({ count: nodes, database: 'store_nodes', network });
  const { cluster, tools, storeUrl, alive } = stage;
  const stories = newStories();
  const done = new Map<string, number>();
  const findings: string[] = [];
  let isOver = false;
  try {
    const load = runLoad(cluster, fork(random), stories, () => isOver);
    await runFaults({
      cluster,
      network,
      random: fork(random),
      wanted: faults,
      done,
      findings,
      say: isVerbose ? say : () => {},
    });
    await pause(2_000);
    isOver = true;
    await load;
    const served = await awaitService(cluster, stories);
    findings.push(...served.findings);
    const { adopted, findings: inTheEnd } = await stage.settle();
    findings.push(...inTheEnd);
    const neverHit = faultsOf(network).filter((fault) => !done.has(fault));
    findings.push(...neverHit.map((fault) => `never done: ${fault}`));
    const verdict = judge(tools.effects, stories, adopted);
    const answers = [...stories.calls.values()].map(({ answered }) => answered);
    const count = (what: string | undefined): number => answers.filter((one) => one === what).length;
    const leases = await countLeases(storeUrl);
    const took = stories.tookMs.toSorted((one, other) => one - other);
    const quantile = (part: number): string => `${((took[Math.floor(took.length * part)] ?? 0) / 1000).toFixed(1)} s`;
    findings.push(...stories.hung.map((one) => `never answered: ${one}`));
    for (const [fault, times] of done) say(`  ${String(times).padStart(6)}  ${fault}`);
    say(
      `load: ${stories.tasks.size} tasks, ${answers.length} calls: ${count('done')} done, ${count('refused')} refused, ${count('unknown')} without an answer; ${stories.tasksRefused} tasks were not given; ${stories.orders} orders, ${stories.ordersFailed} not acknowledged; ${adopted.length} tasks gone on with after their node was lost or started again; ${served.tried} that nobody had stopped were tried in the end, the slowest for ${(served.slowestMs / 1000).toFixed(1)} s. A call took ${quantile(0.5)}, one in a hundred ${quantile(0.99)}, the slowest ${quantile(0.9999)}`,
    );
    for (const [what, cases] of Object.entries(verdict)) for (const one of cases) say(`FOUND ${what}: ${one}`);
    for (const [tag, why] of alive) say(`ALIVE ${tag}: ${why}`);
    for (const finding of findings) say(`FOUND ${finding}`);
    const { duplicated, afterRevocation, labelsLost, beyondBudget, callsForgotten, lost } = verdict;
    const total = [...done.values()].reduce((sum, times) => sum + times, 0);
    say(
      `crash: ${total} faults over ${nodes} gateways, ${leases} credentials; alive beyond their lease: ${alive.size}; permitted after a binding revocation: ${afterRevocation.length}; labels lost: ${labelsLost.length}; side effects twice: ${duplicated.length}; beyond a budget: ${beyondBudget.length}; calls forgotten when another went on: ${callsForgotten.length}; other findings: ${findings.length + lost.length}`,
    );
    const all = [...Object.values(verdict).flat(), ...alive.keys(), ...findings];
    return all.length === 0 && count('done') > 0;
  } finally {
    isOver = true;
    await stage.close();
  }
}

const fork = (random: Random): Random => seededRandom(random.below(2 ** 31));

async function countLeases(storeUrl: string): Promise<number> {
  const store = new pg.Client({ connectionString: storeUrl });
  await store.connect();
  try {
    const { rows } = await store.query<{ leases: number }>('SELECT count(*)::int AS leases FROM leases');
    return rows[0]?.leases ?? 0;
  } finally {
    await store.end();
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
