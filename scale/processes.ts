import { countDatabaseCpu } from '../bench/database.ts';
import { type LoadResult, runLoad } from '../bench/load.ts';
import { cpuUs } from '../bench/processes.ts';
import { type EmbeddedPostgres, startPostgres } from '../test/support/embedded-postgres.ts';
import { makeEstate, type ScaleEstate, type ScaleNode, SMALL, TOOL } from './estate.ts';
import type { PartResult, Setting } from './main.ts';

const COUNTS = [1, 2, 4] as const;
/** Calls under way at each gateway: what waits at one moment is written by one statement, so fewer would make each dearer. */
const CONCURRENCY = 64;
const WARM_UP = 6_000;

/** Calls a second and CPU a call with more and more gateways on one PostgreSQL; and what a call costs that comes to another node than its task's. */
export async function measureProcesses({ isQuick, toolsPort, say }: Setting): Promise<PartResult> {
  const calls = isQuick ? 2_000 : 20_000;
  const figures: string[] = [];
  let alone = 0;
  say(`\n${'gateways'.padEnd(26)} calls/s   CPU µs/call   of the database`);
  for (const count of COUNTS) {
    const postgres = await startPostgres({ fsync: true });
    let estate: ScaleEstate | undefined;
    try {
      estate = await makeEstate({ count, size: SMALL, toolsPort, storeUrl: () => postgres.url('postgres') });
      const one = await measure(estate, postgres, calls, (index, own) => own[index] as ScaleNode);
      if (count === 1) alone = one.cpuUs;
      const ratio = one.cpuUs / alone;
      say(row(String(count), one));
      figures.push(`${count}: ${one.rps.toFixed(0)}/s at ${one.cpuUs.toFixed(0)} µs (${ratio.toFixed(2)}×)`);
      if (count === 2) {
        const relayed = await measure(estate, postgres, calls, (index, own) => own[1 - index] as ScaleNode);
        say(row('2, each call at the other', relayed));
        figures.push(`passed on ${relayed.cpuUs.toFixed(0)} µs`);
      }
    } finally {
      await estate?.close();
      await postgres.stop();
    }
  }
  return { figure: `calls ${figures.join(', ')}`, short: [] };
}

interface Measured {
  readonly rps: number;
  readonly cpuUs: number;
  readonly databaseUs: number;
}

const row = (name: string, { rps, cpuUs: own, databaseUs }: Measured): string =>
  `${name.padEnd(26)} ${rps.toFixed(0).padStart(7)}   ${own.toFixed(0).padStart(11)}   ${databaseUs.toFixed(0).padStart(15)}`;

/** @param nodeOf where the calls of a node's own tasks are made */
async function measure(
  estate: ScaleEstate,
  postgres: EmbeddedPostgres,
  calls: number,
  nodeOf: (index: number, nodes: readonly ScaleNode[]) => ScaleNode,
): Promise<Measured> {
  const { nodes } = estate;
  const targets = await Promise.all(
    nodes.map(async (node, index) => ({
      name: node.url,
      origin: nodeOf(index, nodes).url,
      // A task belongs to the node that it was started at.
      headers: { authorization: `Bearer ${(await estate.openTask(index)).token}` },
      tool: TOOL,
    })),
  );
  const run = (count: number): Promise<LoadResult[]> =>
    Promise.all(
      targets.map((target) =>
        runLoad(target, {
          calls: Math.ceil(count / nodes.length),
          concurrency: CONCURRENCY,
          value: (at) => `v${at % 16}`,
        }),
      ),
    );
  // Each process optimises for itself.
  await run(Math.max(calls, WARM_UP * nodes.length));
  const cpu = (): number => nodes.reduce((sum, { pid }) => sum + cpuUs(pid), 0);
  const databaseUs = countDatabaseCpu();
  const [before, databaseBefore, begun] = [cpu(), databaseUs(postgres), performance.now()];
  await run(calls);
  const ms = performance.now() - begun;
  return {
    rps: (calls * 1_000) / ms,
    cpuUs: (cpu() - before) / calls,
    databaseUs: (databaseUs(postgres) - databaseBefore) / calls,
  };
}
