import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import type { Home } from './estate.ts';
import { HOME_VARIABLE } from './estate.ts';

/** A gateway's process, as an operator starts it, to be killed. */
export interface GatewayProcess {
  readonly pid: number;
  readonly startedAt: number;
  /** Its URL once it serves; rejects when it ends before. */
  readonly serving: Promise<string>;
  readonly exited: Promise<void>;
  readonly hasExited: () => boolean;
  /** Sends SIGKILL, at once; false when it is gone already. */
  kill(): boolean;
  /** SIGTERM, and its exit code. */
  stop(): Promise<number | null>;
  readonly log: () => string;
}

const KEPT = 200_000;
/** Ended with this process, however that ends. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
const SERVES_WITHIN_MS = 120_000;
export const THIS_PROGRAM = 'bin/remit.js';

/**
 * @param program of another version; left out: this one's
 * @param within what its command line is put behind; the process that is started there must become the gateway
 */
export function startGateway(
  home: Pick<Home, 'config' | 'environment'>,
  program: string = THIS_PROGRAM,
  within: readonly string[] = [],
): GatewayProcess {
  const startedAt = performance.now();
  const up = [process.execPath, program, 'up', '--config', home.config, '--json', '--log-level', 'warn'];
  const [first = '', ...rest] = [...within, ...up];
  const child: ChildProcess = spawn(first, rest, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...home.environment },
  });
  running.add(child);
  let output = '';
  let code: number | null | undefined;
  const exited = new Promise<void>((resolve) =>
    child.once('exit', (status) => {
      code = status;
      running.delete(child);
      resolve();
    }),
  );
  const serving = new Promise<string>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`the gateway does not serve within ${SERVES_WITHIN_MS} ms:\n${output}`)),
      SERVES_WITHIN_MS,
    );
    const hear = (text: string): void => {
      output = (output + text).slice(-KEPT);
      const line = /^\{"event":"serving".*\}$/m.exec(output)?.[0];
      if (line === undefined) return;
      clearTimeout(timer);
      resolve((JSON.parse(line) as { url: string }).url);
    };
    for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', hear);
    void exited.then(() => {
      clearTimeout(timer);
      reject(new Error(`the gateway ended before it served:\n${output}`));
    });
  });
  serving.catch(() => {});
  return {
    pid: child.pid as number,
    startedAt,
    serving,
    exited,
    hasExited: () => code !== undefined,
    kill: () => code === undefined && child.kill('SIGKILL'),
    async stop() {
      if (code === undefined) child.kill('SIGTERM');
      await exited;
      return code ?? null;
    },
    log: () => output,
  };
}

interface Seen {
  readonly parent: number;
  /** Ticks since boot at which it began: tells a process from a later one with its number. */
  readonly began: string;
}

function readProcess(pid: number | string): Seen | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie only waits to be reaped.
    return fields[0] === 'Z' ? undefined : { parent: Number(fields[1]), began: fields[19] as string };
  } catch {
    return undefined;
  }
}

/** Everything that descends from a process, as `pid:began`. */
export function descendants(of: number): string[] {
  const processes = new Map<number, Seen>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const seen = readProcess(name);
    if (seen !== undefined) processes.set(Number(name), seen);
  }
  const found = new Set([of]);
  for (let size = 0; size !== found.size; ) {
    size = found.size;
    for (const [pid, { parent }] of processes) if (found.has(parent)) found.add(pid);
  }
  found.delete(of);
  return [...found].map((pid) => `${pid}:${processes.get(pid)?.began}`);
}

export function isStillThere(process: string): boolean {
  const [pid = '', began] = process.split(':');
  return readProcess(pid)?.began === began;
}

/** Processes of a home's connectors, whoever their parent is by now. */
export function processesOf(home: Home): string[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const environment = readFileSync(`/proc/${name}/environ`, 'latin1');
      if (!environment.split('\0').includes(`${HOME_VARIABLE}=${home.folder}`)) return [];
      const seen = readProcess(name);
      return seen === undefined ? [] : [`${name}:${seen.began}`];
    } catch {
      return [];
    }
  });
}
