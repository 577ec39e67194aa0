import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JWK } from 'jose';
import { runRemit } from '../demo/run-remit.ts';
import { writeAgentKey } from '../src/agent/agent-key.ts';
import { openTaskSession } from '../src/agent/task-session.ts';
import { median, percentile, runLoad, type Target } from './load.ts';
import { canPin, cpuMs, residentMib, type Started, startNode } from './processes.ts';

/**
 * `npm run bench`: what one governed call costs, against the least that a Node proxy does, in one interleaved run. Figures are CPU
 * time of the measured process per call, and ratios; absolute latencies say more about the machine than about Remit.
 *
 *   re-used   16 values of the argument that the policy reads: the engine answers from memory
 *   fresh     another value each call: the policy is evaluated anew
 */

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const CALLS = Number(process.env.BENCH_CALLS ?? 8_000);
const CALLS_ALONE = Math.ceil(CALLS / 8);

interface Variant extends Target {
  readonly pid: number;
  readonly value: (index: number) => string;
}

interface Sample {
  readonly cpuUs: number;
  readonly rps: number;
  readonly p50: number;
  readonly p99: number;
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'remit-bench-'));
  const started: Started[] = [];
  try {
    const token = randomBytes(24).toString('base64url');
    const backend = await startNode(['dist/bench/echo-backend.js', token], { core: 1 });
    started.push(backend);
    const origin = `http://127.0.0.1:${backend.ready.port}`;
    const bare = await startNode(['dist/bench/bare-proxy.js', origin, token], { core: 0 });
    started.push(bare);
    const config = await writeConfig(folder, `${origin}/mcp`, token);
    const gateway = await startNode(
      ['--no-turbo-inline-js-wasm-calls', 'bin/remit.js', 'up', '--config', config, '--json', '--log-level', 'error'],
      { core: 0 },
    );
    started.push(gateway);
    const url = String(gateway.ready.url);
    const session = await openTaskSession({
      gateway: url,
      agent: 'bench',
      key: JSON.parse(await readFile(join(folder, 'bench.key.json'), 'utf8')) as JWK,
      task: { declare: { template: 'bench' } },
      clock: Date.now,
    });
    const headers = { authorization: `Bearer ${await session.token()}` };
    const run = randomBytes(4).toString('hex');
    let serial = 0;
    const variants: Variant[] = [
      {
        name: 'bare pass-through',
        origin: `http://127.0.0.1:${bare.ready.port}`,
        headers: {},
        tool: 'echo',
        pid: bare.pid,
        value: (index) => `v${index % 16}`,
      },
      {
        name: 'Remit, re-used',
        origin: url,
        headers,
        tool: 'echo__echo',
        pid: gateway.pid,
        value: (index) => `v${index % 16}`,
      },
      {
        name: 'Remit, fresh',
        origin: url,
        headers,
        tool: 'echo__echo',
        pid: gateway.pid,
        value: () => `f${run}${serial++}`,
      },
    ];

    process.stdout.write(
      `bench: ${ROUNDS} rounds of ${CALLS} calls each, interleaved; Node ${process.version}; ${canPin ? 'measured process pinned to core 0' : 'not pinned'}\n`,
    );
    for (const variant of variants) await measure(variant, Math.ceil(CALLS / 2), 64); // warm-up, not counted
    const before = residentMib(gateway.pid);
    const loaded = await rounds(variants, CALLS, 64);
    const alone = await rounds(variants, CALLS_ALONE, 1);
    report('concurrency 64', variants, loaded);
    report('concurrency 1', variants, alone);
    process.stdout.write(
      `\nresident memory of the gateway: ${before.toFixed(0)} → ${residentMib(gateway.pid).toFixed(0)} MiB\n`,
    );
    await session.end();

    const ratio = (index: number): number =>
      median(loaded.map((round) => (round[index] as Sample).cpuUs / (round[0] as Sample).cpuUs));
    process.stdout.write(
      `bench: bare ${us(loaded, 0)} µs, Remit re-used ${us(loaded, 1)} µs (${ratio(1).toFixed(2)}×), fresh ${us(loaded, 2)} µs (${ratio(2).toFixed(2)}×) CPU per call at concurrency 64\n`,
    );
  } finally {
    for (const process of started.reverse()) await process.stop().catch(() => {});
    await rm(folder, { recursive: true, force: true });
  }
}

async function rounds(variants: readonly Variant[], calls: number, concurrency: number): Promise<Sample[][]> {
  const samples: Sample[][] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const row: Sample[] = [];
    for (const variant of variants) row.push(await measure(variant, calls, concurrency));
    samples.push(row);
  }
  return samples;
}

async function measure(variant: Variant, calls: number, concurrency: number): Promise<Sample> {
  const before = cpuMs(variant.pid);
  const { wallMs, latencies } = await runLoad(variant, { calls, concurrency, value: variant.value });
  const used = cpuMs(variant.pid) - before;
  return {
    cpuUs: (used * 1000) / calls,
    rps: (calls * 1000) / wallMs,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
  };
}

function report(title: string, variants: readonly Variant[], samples: readonly Sample[][]): void {
  process.stdout.write(`\n${title.padEnd(20)} CPU µs/call (min–max)   ratio   calls/s   p50 ms   p99 ms\n`);
  variants.forEach((variant, index) => {
    const column = samples.map((row) => row[index] as Sample);
    const cpu = column.map((sample) => sample.cpuUs);
    const ratios = samples.map((row) => (row[index] as Sample).cpuUs / (row[0] as Sample).cpuUs);
    const cells = [
      variant.name.padEnd(20),
      `${median(cpu).toFixed(0).padStart(5)} (${Math.min(...cpu).toFixed(0)}–${Math.max(...cpu).toFixed(0)})`.padEnd(
        24,
      ),
      `${median(ratios).toFixed(2)}×`.padEnd(7),
      median(column.map((sample) => sample.rps))
        .toFixed(0)
        .padStart(7),
      median(column.map((sample) => sample.p50))
        .toFixed(2)
        .padStart(8),
      median(column.map((sample) => sample.p99))
        .toFixed(2)
        .padStart(8),
    ];
    process.stdout.write(`${cells.join(' ')}\n`);
  });
}

const us = (samples: readonly Sample[][], index: number): string =>
  median(samples.map((row) => (row[index] as Sample).cpuUs)).toFixed(0);

/** One agent, one connector with a static token under an exception, and a policy that reads the argument. */
async function writeConfig(folder: string, url: string, token: string): Promise<string> {
  const config = join(folder, 'remit.yaml');
  await writeFile(
    config,
    `version: 1
listen: { port: 0 }
agents:
  bench: { owner: bench@example.com, publicKeys: bench.jwks.json }
connectors:
  echo:
    owner: bench@example.com
    transport: { http: { url: "${url}" } }
    credential:
      static: { secret: echo_token, exception: { owner: bench@example.com, reason: benchmark, expires: "2099-01-01T00:00:00Z" } }
      ttlSeconds: 3600
    tools:
      echo: { class: read, arguments: { value: string }, approvedBy: bench@example.com }
templates:
  bench: { owner: bench@example.com, purpose: measure, agents: [bench], classes: [read], tools: [echo/echo], calls: 1000000 }
`,
  );
  await mkdir(join(folder, 'policies'));
  await writeFile(
    join(folder, 'policies', 'bench.cedar'),
    `@id("bench-reads")
permit (principal == Remit::Agent::"bench", action in [Remit::Action::"discover", Remit::Action::"read"], resource);
@id("no-secrets")
forbid (principal, action == Remit::Action::"echo/echo", resource) when { context.args.value like "*secret*" };
`,
  );
  await writeAgentKey('bench', {
    privateKey: join(folder, 'bench.key.json'),
    publicKeys: join(folder, 'bench.jwks.json'),
  });
  await runRemit(['secret', 'init', '--config', config]);
  await runRemit(['secret', 'put', 'echo_token', '--config', config], token);
  return config;
}

main().catch((error: unknown) => {
  process.stderr.write(`bench failed: ${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
});
