import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Containment, createContainment } from '../../src/adapters/upstreams/contain-process.ts';
import {
  type ContainmentPlan,
  probeContainment,
  WATCHER_PLAN,
} from '../../src/adapters/upstreams/probe-containment.ts';
import type { Schedule } from '../../src/seams/clock.ts';

/** What the tests of upstreams share. */

export const schedule: Schedule = (ms, task) => {
  const timer = setTimeout(task, ms);
  return () => clearTimeout(timer);
};

export const CLIENT = { name: 'remit-test', version: '0' };
export const FAKE_STDIO_COMMAND = [
  process.execPath,
  fileURLToPath(new URL('./fake-mcp-stdio-server.mjs', import.meta.url)),
];

/** The plans to test on this host: its own, and the watcher alone. */
export async function plansHere(): Promise<ContainmentPlan[]> {
  const own = await probeContainment(process.env.PATH ?? '');
  return own.mode === 'watcher' ? [own] : [own, WATCHER_PLAN];
}

export function contain(plan?: ContainmentPlan): Promise<Containment> {
  return createContainment({
    random: randomBytes,
    schedule,
    environment: process.env,
    temporaryFolder: tmpdir(),
    ...(plan === undefined ? {} : { plan }),
  });
}
