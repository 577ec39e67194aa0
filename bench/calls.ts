import { randomBytes } from 'node:crypto';
import { commitMs } from './database.ts';
import { median } from './load.ts';
import { fsyncMs, interleave, measure, ratioOf, report, type Sample, type Variant } from './measure.ts';
import { MEASURED_CORE, residentMib, startNode } from './processes.ts';
import {
  type BenchGateway,
  type PartResult,
  type PolicyCounts,
  type Setting,
  sharedSecretTransport,
  startBenchGateway,
} from './set-up.ts';

const MOST_REUSED = 1.7;
const MOST_FRESH = 3.5;
/** What one call may take longer than the bare pass-through, beyond one durable append and, on PostgreSQL, the database's own commit. */
const MOST_ADDED_MS = 0.15;
const VALUES = 16;

/**
 * What one governed call costs, against the least that a Node proxy does, in one interleaved run. CPU time of the measured process per call,
 * and ratios; absolute latencies say more about the machine than about Remit. Arguments differ from call to call.
 *
 *   re-used   16 values of the argument that the policy reads
 *   fresh     another value each call: the policy is evaluated anew
 *   by Cedar  the same for a policy that is not evaluated in process: what one costs that is written in an uncommon way
 *   shared    as re-used, but with a secret that all tasks share, by exception, and the fuller records that go with it
 */
export async function measureCalls(setting: Setting): Promise<PartResult> {
  const { isQuick, say, database } = setting;
  const count = Number(process.env.BENCH_ROUNDS ?? (isQuick ? 3 : 5));
  const calls = Number(process.env.BENCH_CALLS ?? (isQuick ? 3_000 : 8_000));
  const bare = await startNode(['dist/bench/bare-proxy.js', setting.backendOrigin, setting.token], {
    core: MEASURED_CORE,
  });
  setting.closers.push(() => bare.stop());
  const gateway = await startBenchGateway(setting);
  const headers = await gateway.openTask();
  const legacy = await startBenchGateway(setting, sharedSecretTransport(setting));
  const run = randomBytes(4).toString('hex');
  let serial = 0;
  const remit = {
    origin: gateway.url,
    headers,
    tool: 'echo__echo',
    pid: gateway.pid,
    ...(database && { elsewhereUs: database.cpuUs }),
  };
  const few = (index: number): string => `v${index % VALUES}`;
  const variants: readonly Variant[] = [
    {
      name: 'bare pass-through',
      origin: `http://127.0.0.1:${bare.ready.port}`,
      headers: {},
      tool: 'echo',
      pid: bare.pid,
      value: few,
    },
    { ...remit, name: 'Remit, re-used', value: few },
    { ...remit, name: 'Remit, fresh', value: () => `f${run}${serial++}` },
    { ...remit, name: 'Remit, fresh by Cedar', tool: 'echo__asked', value: () => `c${run}${serial++}` },
    {
      ...remit,
      name: 'Remit, shared secret',
      origin: legacy.url,
      headers: await legacy.openTask(),
      pid: legacy.pid,
      value: few,
    },
    ...(database === undefined ? [] : [await onSqlite(setting, few)]),
  ];

  // Warm-up, not counted; and what the engine did meanwhile.
  for (const variant of variants) await measure(variant, calls, 64);
  for (const variant of variants.slice(1, 4))
    say(`${variant.name}: ${await describeDecisions(gateway, variant, calls)}`);

  const before = residentMib(gateway.pid);
  const loaded = await interleave(variants, { count, calls, concurrency: 64 });
  say(report('concurrency 64', variants, loaded));
  const syncs: number[] = [];
  const commits: number[] = [];
  const { storeUrl } = gateway;
  const alone = await interleave(variants, {
    count,
    calls: Math.ceil(calls / 8),
    concurrency: 1,
    between: async () => {
      syncs.push(await fsyncMs(gateway.folder, 100));
      if (storeUrl !== undefined) commits.push(await commitMs(storeUrl, 100));
    },
  });
  say(report('concurrency 1', variants, alone));
  say(`resident memory of the gateway: ${before.toFixed(0)} → ${residentMib(gateway.pid).toFixed(0)} MiB`);

  const [reused, fresh] = [ratioOf(loaded.rows, 1), ratioOf(loaded.rows, 2)];
  const added = median(alone.rows.map((row) => (row[1] as Sample).p50 - (row[0] as Sample).p50));
  const fsync = median(syncs);
  const commit = storeUrl === undefined ? 0 : median(commits);
  const waits = `one fsync takes ${fsync.toFixed(2)}${storeUrl === undefined ? '' : ` and the database's own commit ${commit.toFixed(2)}`}`;
  const us = (index: number): string => median(loaded.rows.map((row) => (row[index] as Sample).cpuUs)).toFixed(0);
  return {
    figure: `bare ${us(0)} µs, Remit re-used ${us(1)} µs (${reused.toFixed(2)}×), fresh ${us(2)} µs (${fresh.toFixed(2)}×), fresh by Cedar ${us(3)} µs, with a shared secret ${us(4)} µs CPU per call at concurrency 64; at 1 it adds ${added.toFixed(2)} ms where ${waits}`,
    short: [
      ...above('re-used', reused, MOST_REUSED, '×'),
      ...above('fresh', fresh, MOST_FRESH, '×'),
      ...above('added p50 at concurrency 1', added, fsync + commit + MOST_ADDED_MS, ' ms'),
    ],
  };
}

/** The same without the database and the other nodes, in the same run: the rest of the difference is the database's. */
async function onSqlite(setting: Setting, value: Variant['value']): Promise<Variant> {
  const alone = await startBenchGateway({ ...setting, database: undefined });
  const { url: origin, pid } = alone;
  return { name: 'Remit on SQLite', origin, headers: await alone.openTask(), tool: 'echo__echo', pid, value };
}

async function describeDecisions(gateway: BenchGateway, variant: Variant, calls: number): Promise<string> {
  const before = await gateway.policyCounts();
  await measure(variant, calls, 64);
  const after = await gateway.policyCounts();
  if (before === undefined || after === undefined) return 'how it was decided is unknown';
  const share = (name: keyof PolicyCounts): string => `${((100 * (after[name] - before[name])) / calls).toFixed(1)}%`;
  return `${share('reused')} of the decisions were answered again, ${share('compiled')} evaluated in process, Cedar was asked for ${share('asked')}`;
}

/** What to say of a figure that is over its bound; nothing of one that is not. A figure that is none is over every bound. */
export function above(what: string, figure: number, most: number, unit: string): string[] {
  return figure <= most ? [] : [`${what} ${figure.toFixed(2)}${unit} > ${most.toFixed(2)}${unit}`];
}
