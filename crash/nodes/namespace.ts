import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { delimiter } from 'node:path';

/** Where programs of administrators are, for whoever is none. */
export const ADMIN_PATH = [process.env.PATH ?? '', '/usr/sbin', '/sbin'].join(delimiter);
const WITHIN_MS = 10_000;

/** A network namespace, which is there as long as somebody is in it. */
export interface Namespace {
  /** Of its keeper. */
  readonly pid: number;
  /** What a command line is put behind, so that it runs there: in one process, so that its id is the command's. */
  readonly within: readonly string[];
  run(command: readonly string[]): Promise<void>;
  /** Commands of `ip`, in one go. */
  batch(lines: readonly string[]): Promise<void>;
  /** @param name below `/proc/sys` */
  set(name: string, value: number): Promise<void>;
  close(): Promise<void>;
}

/** @throws what the command says */
export function run(command: readonly string[], input = ''): Promise<void> {
  const [program = '', ...args] = command;
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      args,
      { timeout: WITHIN_MS, env: { ...process.env, PATH: ADMIN_PATH } },
      (error, _, said) => {
        if (error === null) resolve();
        else reject(new Error(`${command.join(' ')}: ${said.trim() === '' ? error.message : said.trim()}`));
      },
    );
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}

/** A new one. Its keeper ends with this process, however that ends: it waits for a pipe to be closed. */
export async function openNamespace(): Promise<Namespace> {
  const keeper = spawn('unshare', ['--net', '--', '/bin/sh', '-c', 'echo kept; read -r _'], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const exited = once(keeper, 'close');
  exited.catch(() => {});
  let said = '';
  keeper.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await Promise.race([
    once(keeper.stdout, 'data'),
    exited.then(() => Promise.reject(new Error(`no network namespace: ${said.trim()}`))),
  ]);
  const pid = keeper.pid as number;
  const within = ['nsenter', `--net=/proc/${pid}/ns/net`, '--'];
  const inside = (command: readonly string[], input?: string): Promise<void> => run([...within, ...command], input);
  return {
    pid,
    within,
    run: inside,
    batch: (lines) => inside(['ip', '-batch', '-'], `${lines.join('\n')}\n`),
    set: (name, value) => inside(['/bin/sh', '-c', `echo ${value} > /proc/sys/${name}`]),
    async close() {
      keeper.stdin.end();
      await exited;
    },
  };
}
