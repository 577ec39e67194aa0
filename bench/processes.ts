import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface Started {
  readonly pid: number;
  readonly ready: Readonly<Record<string, unknown>>;
  stop(): Promise<void>;
}

/** Whether processes can be pinned to a core: then the one that is measured has a core to itself. */
export const canPin = spawnSync('taskset', ['-c', '0', 'true']).status === 0;

/** Starts a Node program and waits for its first line of JSON on standard output. */
export async function startNode(
  args: readonly string[],
  options: { core?: number; env?: Record<string, string> } = {},
): Promise<Started> {
  const command =
    options.core !== undefined && canPin
      ? ['taskset', '-c', String(options.core), process.execPath]
      : [process.execPath];
  const [program = '', ...before] = command;
  // `taskset` becomes the program it starts: the pid is the one to measure.
  const child = spawn(program, [...before, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...options.env },
  });
  const ready = await firstLine(child);
  return {
    pid: child.pid as number,
    ready,
    async stop() {
      const gone = new Promise((resolve) => child.once('close', resolve));
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

const TICK_MS = 10;

/** CPU time that a process has used, user and system, all threads, in milliseconds (proc(5), fields 14 and 15, in 10 ms ticks). */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** Resident memory in MiB. */
export function residentMib(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) / 1024;
}
