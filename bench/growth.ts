import { above } from './calls.ts';
import { runLoad } from './load.ts';
import { residentMib } from './processes.ts';
import { type PartResult, type Setting, startBenchGateway } from './set-up.ts';

const MOST_GROWTH = 3;

/** What memory does over many calls: resident memory after the first so many, and after as many again. */
export async function measureGrowth(setting: Setting): Promise<PartResult> {
  const calls = setting.isQuick ? 20_000 : 100_000;
  const gateway = await startBenchGateway(setting);
  const target = { name: 'Remit', origin: gateway.url, headers: await gateway.openTask(), tool: 'echo__echo' };
  const value = (index: number): string => `v${index % 16}`;
  await runLoad(target, { calls, concurrency: 64, value });
  const first = residentMib(gateway.pid);
  await runLoad(target, { calls, concurrency: 64, value });
  const second = residentMib(gateway.pid);
  const growth = (second / first - 1) * 100;
  const figure = `memory ${first.toFixed(0)} → ${second.toFixed(0)} MiB from ${calls} to ${2 * calls} calls (${growth.toFixed(1)}%)`;
  setting.say(`\n${figure}`);
  // A short run is still warming up: it shows a leak, and no more.
  return { figure, short: above('growth of memory', growth, setting.isQuick ? 15 : MOST_GROWTH, '%') };
}
