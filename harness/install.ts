import { spawn } from 'node:child_process';
import { access, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

/** Where harnesses keep what they fetch: packages that are no dependencies of Remit. */
export const CACHE = resolve('node_modules/.cache/remit-harness');
/** Bytes kept of what a program says. */
const KEPT = 1_000_000;

/**
 * Installs exact versions from npm into a folder of their own, scripts not run; what is there already is kept, so that a second run needs no network.
 * @returns the folder's `node_modules`
 */
export async function installPackages(name: string, packages: Readonly<Record<string, string>>): Promise<string> {
  const folder = join(CACHE, name);
  await mkdir(folder, { recursive: true });
  const wanted = Object.entries(packages).map(([id, version]) => `${id}@${version}`);
  const stamp = join(folder, 'installed.json');
  const have = await readFile(stamp, 'utf8').catch(() => '');
  if (have !== JSON.stringify(wanted)) {
    await writeFile(join(folder, 'package.json'), '{"private":true}\n');
    await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', ...wanted], {
      cwd: folder,
      timeoutMs: 600_000,
    });
    await writeFile(stamp, JSON.stringify(wanted));
  }
  return join(folder, 'node_modules');
}

const unpacking = new Map<string, Promise<string>>();

/**
 * Unpacks Debian packages into a folder, no root and no package scripts needed; once for all who want them at the same time.
 * @returns the folder that stands for `/`
 */
export function unpackDebian(name: string, packages: readonly string[]): Promise<string> {
  const known = unpacking.get(name) ?? unpack(name, packages);
  unpacking.set(name, known);
  return known;
}

async function unpack(name: string, packages: readonly string[]): Promise<string> {
  const folder = join(CACHE, name);
  const root = join(folder, 'root');
  if (await exists(join(folder, 'unpacked'))) return root;
  await mkdir(folder, { recursive: true });
  await run('apt-get', ['download', ...packages], { cwd: folder, timeoutMs: 120_000 }).catch((cause: Error) => {
    throw new Error(`Debian's ${packages.join(', ')} cannot be had: ${cause.message.replaceAll('\n', '; ')}`);
  });
  for (const file of await readdir(folder)) {
    if (file.endsWith('.deb')) await run('dpkg-deb', ['-x', file, 'root'], { cwd: folder, timeoutMs: 60_000 });
  }
  await writeFile(join(folder, 'unpacked'), '');
  return root;
}

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly input?: string;
  /** Left out: any other code than 0 rejects. */
  readonly anyCode?: boolean;
}

/** Runs a program to its end, bounded in time and output; its whole process group is ended when the time is up. */
export async function run(program: string, args: readonly string[], options: RunOptions): Promise<Ran> {
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] = (said[name] + text).slice(-KEPT);
    });
  }
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    endGroup(child.pid);
  }, options.timeoutMs);
  const code = await new Promise<number | null>((settle, reject) => {
    child.on('error', reject);
    child.on('close', settle);
  }).finally(() => clearTimeout(timer));
  endGroup(child.pid);
  if (isLate)
    throw new Error(`${program} ${args[0] ?? ''} did not end within ${options.timeoutMs / 1000} s\n${tail(said)}`);
  if (code !== 0 && options.anyCode !== true) throw new Error(`${program} exited with ${code}\n${tail(said)}`);
  return { code, ...said };
}

export const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

const tail = ({ stdout, stderr }: { stdout: string; stderr: string }): string =>
  `${stdout.slice(-1_500)}\n${stderr.slice(-1_500)}`.trim();

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nothing is left of it.
  }
}
