import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Home } from '../crash/estate.ts';

/** How a start ended; `hang` when it did not within the bound. */
export type Start = 'serving' | 'revoke_only' | 'exit' | 'hang';

export interface FaultyGateway {
  readonly start: Start;
  /** Of the gateway itself, not of what it was started with. */
  readonly pid: number;
  readonly url: string;
  readonly log: () => string;
  isAlive(): boolean;
  /** Ends it however it stands, and waits until it is gone. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
}

const START_MS = 45_000;
const STOP_MS = 30_000;
const KEPT = 100_000;

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

/** @param inFront a program and its arguments that start the gateway, such as strace */
export async function startFaulty(
  home: Home,
  inFront: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Promise<FaultyGateway> {
  const remit = [process.execPath, 'bin/remit.js', 'up', '--config', home.config, '--json', '--log-level', 'warn'];
  const [program = '', ...args] = [...inFront, ...remit];
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...home.environment, ...environment },
  });
  running.add(child);
  let output = '';
  let hasExited = false;
  child.on('exit', () => {
    hasExited = true;
    running.delete(child);
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-KEPT);
    });
  }
  const ready = (): string | undefined => /^\{"event":"(?:serving|revoke_only)".*\}$/m.exec(output)?.[0];
  await waitFor(() => hasExited || ready() !== undefined, START_MS);
  const line = ready();
  const told = line === undefined ? undefined : (JSON.parse(line) as { event: Start; url: string; pid: number });
  const pid = told?.pid ?? (child.pid as number);
  const isAlive = (): boolean => !hasExited && isRunning(pid);
  return {
    start: told?.event ?? (hasExited ? 'exit' : 'hang'),
    pid,
    url: told?.url ?? '',
    log: () => output,
    isAlive,
    async end(signal) {
      for (const each of [signal, 'SIGKILL'] as const) {
        if (!isAlive()) break;
        signalTo(pid, 'SIGCONT');
        signalTo(pid, each);
        await waitFor(() => !isAlive(), STOP_MS);
      }
      // What it was started with goes with it, or is ended.
      if (!(await waitFor(() => hasExited, 3_000))) child.kill('SIGKILL');
    },
  };
}

export function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It is gone.
  }
}

function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !/\) [ZX] /.test(stat);
  } catch {
    return false;
  }
}

/** Whether it came true within the bound. */
export async function waitFor(isTrue: () => boolean | Promise<boolean>, withinMs: number): Promise<boolean> {
  const until = performance.now() + withinMs;
  while (!(await isTrue())) {
    if (performance.now() > until) return false;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return true;
}
