import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Downstream } from '../crash/downstream.ts';
import type { Home } from '../crash/estate.ts';
import { runRemit } from '../demo/run-remit.ts';
import type { FickleProxy } from './fickle-proxy.ts';
import type { Forwarded } from './forwarded.ts';
import { fillUp } from './full-disk.ts';
import { type FaultyGateway, startFaulty, waitFor } from './gateway.ts';
import { type Injection, straceArguments } from './injection.ts';
import { type LoadResult, runLoad } from './load.ts';
import type { Scenario, Scene } from './scenarios.ts';
import { findLeaseViolations, findViolations } from './verify.ts';

export interface Stage {
  readonly home: Home;
  readonly downstream: Downstream;
  readonly forwarded: Forwarded;
  readonly strace: string;
  readonly faketime: string | undefined;
  readonly store: FickleProxy | undefined;
  readonly sql: (statement: string) => Promise<void>;
}

export interface Outcome {
  /** For people: what became of the gateway, and of the calls. */
  readonly what: string;
  readonly violations: readonly string[];
}

const LOAD_MS = 4_000;
/** For a fault that has not come by then. */
const LONGEST_MS = 60_000;
const LOOK_EVERY_MS = 500;
const FAULT_AFTER_MS = 1_200;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A gateway under a fault and under load, its death, a start without the fault, and what must hold then. */
export async function runScenario(scenario: Scenario, stage: Stage): Promise<Outcome> {
  const { home, downstream, forwarded } = stage;
  const violations: string[] = [];
  forwarded.take();
  const clockFile = join(home.folder, 'clock');
  await writeFile(clockFile, '+0');
  const straceFile = join(home.folder, 'strace');
  const undoFull = scenario.full === true ? await fillUp(home) : undefined;
  const inFront =
    scenario.injection === undefined ? [] : straceArguments(stage.strace, home.data, scenario.injection, straceFile);
  const gateway = await startFaulty(home, inFront, scenario.clock === true ? clockOf(stage, clockFile) : {});
  let load: LoadResult | undefined;
  try {
    if (gateway.start === 'hang') violations.push('the start neither served nor failed within its bound');
    if (gateway.start === 'exit' && scenario.injection === undefined)
      violations.push(`it does not start: ${gateway.log().slice(-500)}`);
    if (gateway.start === 'serving') load = await loadUnder(scenario, gateway, stage, { clockFile, straceFile });
    if (load !== undefined && load.hung > 0) violations.push(`A3 ${load.hung} calls had no answer within the bound`);
    if (scenario.recovers === true && !(await answersAgain(gateway, stage)))
      violations.push('it does not serve again after the fault');
    // A fault that never came would prove nothing.
    if (scenario.injection !== undefined && !(await hasHappened(scenario.injection, gateway, straceFile)))
      violations.push('the fault did not happen: nothing was tried');
  } finally {
    await gateway.end('SIGKILL');
    await undoFull?.undo();
  }
  const found = await restart(scenario, stage, gateway);
  violations.push(...found.violations);
  const calls =
    load === undefined ? '' : `; ${load.done} of ${load.calls} calls done, slowest ${Math.round(load.slowestMs)} ms`;
  return {
    what: `${gateway.start}${undoFull === undefined ? '' : ` (${undoFull.how})`}${calls}; then ${found.start}`,
    violations,
  };

  async function restart(of: Scenario, at: Stage, before: FaultyGateway) {
    const next = await startFaulty(home);
    const wrong: string[] = [];
    try {
      if (next.start === 'revoke_only') {
        if (of.next !== 'revoke_only')
          wrong.push(`A4 revoke-only after a fault that damages nothing: ${reasonIn(next)}`);
        const answer = await fetch(`${next.url}/mcp`, { method: 'POST', body: '{}' });
        if (answer.status !== 503) wrong.push(`A4 revoke-only answers ${answer.status}`);
        wrong.push(...(await findLeaseViolations(home, downstream)));
        await next.end('SIGTERM');
        await runRemit(['audit', 'accept-damage', '--config', home.config]);
      } else if (next.start === 'serving') {
        if (of.next === 'revoke_only') wrong.push('A4 it serves on a journal that is damaged');
        wrong.push(...(await findViolations(home, at.downstream, forwarded.take())));
      } else {
        wrong.push(
          `the start after the fault ends in ${next.start}: ${next.log().slice(-400)}\nbefore: ${before.log().slice(-300)}`,
        );
      }
    } finally {
      await next.end('SIGTERM');
    }
    return { start: next.start, violations: wrong };
  }
}

async function loadUnder(
  scenario: Scenario,
  gateway: FaultyGateway,
  stage: Stage,
  { clockFile, straceFile }: { clockFile: string; straceFile: string },
): Promise<LoadResult> {
  const { injection } = scenario;
  const scene: Scene = {
    home: stage.home,
    gateway,
    store: stage.store,
    sql: stage.sql,
    setClock: (offset) => writeFile(clockFile, offset),
    pause,
  };
  let isOver = false;
  const load = runLoad(stage.home, gateway.url, () => isOver || !gateway.isAlive());
  const until = performance.now() + (scenario.loadMs ?? LOAD_MS);
  await waitFor(() => !gateway.isAlive(), FAULT_AFTER_MS);
  await scenario.during?.(scene);
  await waitFor(() => !gateway.isAlive(), Math.max(0, until - performance.now()));
  // On a busy machine the twentieth write of a thread takes its time.
  const longest = performance.now() + LONGEST_MS;
  while (injection !== undefined && performance.now() < longest && gateway.isAlive()) {
    if (await hasHappened(injection, gateway, straceFile)) break;
    await pause(LOOK_EVERY_MS);
  }
  isOver = true;
  return load;
}

async function hasHappened({ how }: Injection, gateway: FaultyGateway, straceFile: string): Promise<boolean> {
  if (how.startsWith('signal=')) return !gateway.isAlive();
  // A call that does not come back is not written down; what the gateway says of it is.
  if (gateway.log().includes('no answer from the disk')) return true;
  return /INJECTED|DELAYED/.test(await readFile(straceFile, 'utf8'));
}

/** A call goes through again, in a task that is new. */
async function answersAgain(gateway: FaultyGateway, stage: Stage): Promise<boolean> {
  if (!gateway.isAlive()) return false;
  let isOver = false;
  const load = runLoad(stage.home, gateway.url, () => isOver || !gateway.isAlive());
  await pause(3_000);
  isOver = true;
  return (await load).done > 0;
}

function clockOf({ faketime }: Stage, file: string): Record<string, string> {
  if (faketime === undefined) throw new Error('a scenario with a clock needs libfaketime');
  return {
    LD_PRELOAD: faketime,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: '1',
    // Elapsed time is the kernel's: what jumps is the wall clock alone.
    DONT_FAKE_MONOTONIC: '1',
  };
}

const reasonIn = (gateway: FaultyGateway): string => /"reason":"([^"]*)"/.exec(gateway.log())?.[1] ?? '';
