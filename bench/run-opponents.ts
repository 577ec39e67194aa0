/** Run by `opponents.ts` in a network namespace; `[node_modules] [quick|full]`. Its last line is the figure. */
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Pool } from 'undici';
import { freePort } from '../harness/service.ts';
import { openSession } from './load.ts';
import { interleave, measure, ratioOf, report, type Variant } from './measure.ts';
import { canPin, MEASURED_CORE, OTHER_CORE, residentMib, startPinned } from './processes.ts';
import { openSetting, type Setting, startBenchGateway } from './set-up.ts';
import { measureProgress, type ProgressCost } from './stdio-progress.ts';

const [, , modules = '', length = 'full'] = process.argv;
const CONCURRENCY = 16;
const START_MS = 20_000;

/** The echo server on the other core, whoever starts it. */
const echo = [
  ...(canPin ? ['taskset', '-c', String(OTHER_CORE)] : []),
  process.execPath,
  resolve('dist/bench/stdio-echo.js'),
];
const bin = (name: string, file: string): string => join(modules, name, file);

/** Starts one, waits until it opens a session, and gives it as a variant. */
async function startOpponent(setting: Setting, name: string, command: (port: number) => string[]): Promise<Variant> {
  const port = await freePort();
  const started = startPinned([process.execPath, ...command(port)], { core: MEASURED_CORE });
  setting.closers.push(() => started.stop());
  const target = { name, origin: `http://127.0.0.1:${port}`, headers: {} };
  for (const until = Date.now() + START_MS; ; ) {
    const pool = new Pool(target.origin);
    try {
      const headers = await openSession(target, pool);
      return { ...target, headers, tool: 'echo', pid: started.pid, value: (index) => `v${index % 16}` };
    } catch (error) {
      if (Date.now() > until) throw error;
      await wait(200);
    } finally {
      await pool.destroy();
    }
  }
}

async function main(setting: Setting): Promise<void> {
  const gateway = await startBenchGateway(setting, `    transport: { stdio: { command: ${JSON.stringify(echo)} } }`);
  const variants: Variant[] = [
    {
      name: 'Remit, stdio',
      origin: gateway.url,
      headers: await gateway.openTask(),
      tool: 'echo__echo',
      pid: gateway.pid,
      value: (index) => `v${index % 16}`,
    },
    await startOpponent(setting, 'mcp-proxy 6.7.19', (port) => [
      bin('mcp-proxy', 'dist/bin/mcp-proxy.mjs'),
      ...['--host', '127.0.0.1', '--port', String(port), '--server', 'stream', '--no-eventStore'],
      ...['--', ...echo],
    ]),
    await startOpponent(setting, 'supergateway 4.0.0', (port) => [
      bin('supergateway', 'dist/index.js'),
      ...['--stdio', echo.join(' '), '--outputTransport', 'streamableHttp', '--stateful'],
      ...['--port', String(port), '--logLevel', 'none'],
    ]),
  ];
  const calls = length === 'quick' ? 1_000 : 4_000;
  for (const variant of variants) await measure(variant, calls, CONCURRENCY);
  const rounds = await interleave(variants, { count: length === 'quick' ? 2 : 4, calls, concurrency: CONCURRENCY });
  setting.say(report(`stdio, concurrency ${CONCURRENCY}`, variants, rounds));
  for (const { name, pid } of variants) setting.say(`${name.padEnd(22)} ${residentMib(pid).toFixed(0)} MiB`);
  const against = variants
    .slice(1)
    .map(({ name }, index) => `${name} takes ${ratioOf(rounds.rows, index + 1).toFixed(1)}×`);
  const progress = await measureProgress(
    variants,
    length === 'quick' ? { calls: 100, rounds: 2 } : { calls: 400, rounds: 4 },
  );
  for (const { name, eventUs, arrived } of progress)
    setting.say(
      `${name.padEnd(22)} ${eventUs.toFixed(1)} µs CPU a progress notification, of which ${(100 * arrived).toFixed(0)}% arrive`,
    );
  const [ours, ...others] = progress as [ProgressCost, ...ProgressCost[]];
  const events = others.map(
    (one) => `${one.name} ${one.eventUs.toFixed(1)} µs (${(100 * one.arrived).toFixed(0)}% arrive)`,
  );
  setting.say(
    `against Remit over stdio with everything on, without any of it: ${against.join(', ')} the CPU a call; a progress notification ${ours.eventUs.toFixed(1)} µs, ${events.join(', ')}`,
  );
  if (ours.arrived < 1) throw new Error('not every progress notification came through the gateway');
}

const setting = await openSetting(length === 'quick');
try {
  await main(setting);
} finally {
  for (const close of setting.closers.reverse()) await close().catch(() => {});
}
process.exit(0);
