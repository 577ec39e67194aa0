import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

export interface Started {
  readonly pid: number;
  /** The first line of JSON that it wrote. */
  readonly ready: Readonly<Record<string, unknown>>;
  stop(): Promise<void>;
}

/** Where processes can be pinned to a core, the one that is measured has core 0 to itself. */
export const canPin = spawnSync('taskset', ['-c', '0', 'true']).status === 0;
export const MEASURED_CORE = 0;
export const OTHER_CORE = 1;

/** Starts a Node program and waits for its first line of JSON on standard output. */
export async function startNode(
  args: readonly string[],
  options: { core?: number; env?: Record<string, string> } = {},
): Promise<Started> {
  const started = startPinned([process.execPath, ...args], options);
  return { ...started, ready: await firstLine(started.child) };
}

/** Starts any program; nothing of its output is kept. */
export function startPinned(
  command: readonly string[],
  options: { core?: number; env?: Record<string, string> } = {},
): Started & { readonly child: ChildProcess } {
  // `taskset` becomes the program it starts: the pid is the one to measure.
  const whole =
    options.core !== undefined && canPin ? ['taskset', '-c', String(options.core), ...command] : [...command];
  const [program = '', ...args] = whole;
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...options.env },
  });
  const gone = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
  child.stdout?.resume();
  return {
    child,
    pid: child.pid as number,
    ready: {},
    async stop() {
      child.kill('SIGTERM');
      await gone;
    },
  };
}

function firstLine(child: ChildProcess): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      const line = /^\{.*\}$/m.exec(text)?.[0];
      if (line !== undefined) resolve(JSON.parse(line) as Record<string, unknown>);
    });
    child.once('close', (code) => reject(new Error(`the process exited with ${code} before it was ready`)));
  });
}

/** CPU time that a process has used on all of its threads, in microseconds (proc(5) schedstat: nanoseconds on a CPU). */
export function cpuUs(pid: number): number {
  let ns = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      ns += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0]);
    } catch {
      // It ended in between.
    }
  }
  return ns / 1000;
}

const TICK_US = 10_000;

/** Time that anybody has used of a core, in microseconds, in ticks of 10 ms (proc(5) stat: user, nice, system and steal). */
export function coreUs(core: number): number {
  const fields =
    new RegExp(`^cpu${core} +(.*)$`, 'm').exec(readFileSync('/proc/stat', 'latin1'))?.[1]?.split(' ') ?? [];
  return [0, 1, 2, 7].reduce((sum, index) => sum + Number(fields[index] ?? 0), 0) * TICK_US;
}

/** Resident memory in MiB. */
export function residentMib(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) / 1024;
}
