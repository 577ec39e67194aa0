import { type ChildProcess, spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { vi } from 'vitest';
import { ERROR_EXIT_CODES, type ErrorCode } from '../../src/domain/errors.ts';

/** The command line as a user meets it. Every process that is started here is ended by `endAll`, whatever a test did. */
export const BIN = resolve('bin/remit.js');
export const FILESYSTEM_SERVER = resolve('node_modules/@modelcontextprotocol/server-filesystem/dist/index.js');

// A start takes seconds where other work has the processors.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const processes = new Set<ChildProcess>();
const folders = new Set<string>();

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly exited: Promise<number | null>;
}

export function start(
  args: readonly string[],
  options: { cwd?: string; env?: Readonly<Record<string, string>> } = {},
): Started {
  const child = spawn(process.execPath, [BIN, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    ...(options.env !== undefined && { env: { ...process.env, ...options.env } }),
  });
  processes.add(child);
  let stdout = '';
  let stderr = '';
  child.stdin.on('error', () => {});
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const exited = new Promise<number | null>((done) => {
    child.once('close', (code) => {
      processes.delete(child);
      done(code);
    });
  });
  return { child, stdout: () => stdout, stderr: () => stderr, exited };
}

/** Runs one command to its end. */
export async function run(
  args: readonly string[],
  options: { cwd?: string; input?: string; env?: Readonly<Record<string, string>> } = {},
): Promise<Finished> {
  const { child, stdout, stderr, exited } = start(args, options);
  child.stdin?.end(options.input ?? '');
  return { code: await exited, stdout: stdout(), stderr: stderr() };
}

/** Runs one command with `--json`, which must succeed and print one JSON document. */
export async function runJson<T>(args: readonly string[], options: { cwd?: string; input?: string } = {}): Promise<T> {
  const done = await run([...args, '--json'], options);
  if (done.code !== 0) throw new Error(`remit ${args.join(' ')} exited with ${done.code}: ${done.stderr}`);
  return JSON.parse(done.stdout) as T;
}

export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly where?: string;
  readonly hint?: string;
}

/** Runs a command that must fail: checks that the exit code belongs to the error's code, and that people are told the same. */
export async function runToFail(
  args: readonly string[],
  options: { cwd?: string; input?: string; env?: Readonly<Record<string, string>> } = {},
): Promise<Failure> {
  const done = await run([...args, '--json'], options);
  const line = done.stderr.split('\n').findLast((text) => text.startsWith('{"error"'));
  if (line === undefined)
    throw new Error(`remit ${args.join(' ')} (${done.code}) gave no error: ${done.stderr}${done.stdout}`);
  const { error } = JSON.parse(line) as { error: Failure };
  const expected = ERROR_EXIT_CODES[error.code];
  if (done.code !== expected) throw new Error(`${error.code} exits with ${expected}, not ${done.code}`);
  if (done.stdout.includes('"event":"serving"')) throw new Error('it served before it failed');
  return error;
}

/** A folder that `remit init` filled, made to work offline and on a free port. */
export interface Home {
  readonly folder: string;
  readonly config: string;
  /** Absolute, so that the connector's processes are known by it. */
  readonly workspace: string;
  /** Replaces text in remit.yaml; the text must be there. */
  edit(from: string, to: string): Promise<void>;
}

export async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'remit-cli-'));
  folders.add(folder);
  return folder;
}

let initialised: Promise<string> | undefined;

/** What `remit init` has written, once for a file of tests. */
async function initialise(): Promise<string> {
  const folder = await makeFolder();
  const made = await run(['init', folder, '--owner', 'dana@shop.example']);
  if (made.code !== 0) throw new Error(made.stderr);
  return folder;
}

/** @param keys `own`: with an agent's key and a vault's key that no other home of this file has */
export async function makeHome(keys: 'own' | 'shared' = 'shared'): Promise<Home> {
  let folder: string;
  if (keys === 'own') folder = await initialise();
  else {
    initialised ??= initialise();
    const made = await initialised;
    folder = await makeFolder();
    await cp(made, folder, { recursive: true });
  }
  const config = join(folder, 'remit.yaml');
  const edit = async (from: string, to: string): Promise<void> => {
    const text = await readFile(config, 'utf8');
    if (!text.includes(from)) throw new Error(`remit.yaml has no ${from}`);
    await writeFile(config, text.replace(from, to));
  };
  await edit('port: 7420', 'port: 0');
  await edit(
    '[npx, -y, "@modelcontextprotocol/server-filesystem@2026.8.31", ./workspace]',
    JSON.stringify([process.execPath, FILESYSTEM_SERVER, join(folder, 'workspace')]),
  );
  return { folder, config, workspace: join(folder, 'workspace'), edit };
}

export interface Up extends Started {
  readonly url: string;
  readonly pid: number;
  readonly ready: {
    readonly tools: number;
    readonly undescribed: number;
    readonly problems: readonly string[];
  };
  stop(): Promise<number | null>;
}

/** Starts `remit up` and waits until it serves, or says that it only revokes. */
export async function startUp(
  config: string,
  event: 'serving' | 'revoke_only' = 'serving',
  options: readonly string[] = [],
): Promise<Up> {
  const started = start(['up', '--config', config, '--json', ...options]);
  started.child.stdin?.end();
  const line = await until(
    () => {
      if (started.child.exitCode !== null) throw new Error(`remit up exited: ${started.stderr()}`);
      return new RegExp(`^\\{"event":"${event}".*\\}$`, 'm').exec(started.stdout())?.[0];
    },
    'remit up serves',
    60_000,
  );
  const ready = JSON.parse(line) as Up['ready'] & { url: string; pid: number };
  return {
    ...started,
    url: ready.url,
    pid: ready.pid,
    ready,
    stop() {
      if (started.child.exitCode === null) started.child.kill('SIGTERM');
      return started.exited;
    },
  };
}

/** Polls until the value is there. A throw ends the waiting. */
export async function until<T>(
  look: () => T | undefined | false | Promise<T | undefined | false>,
  what: string,
  limitMs = 30_000,
): Promise<T> {
  const end = performance.now() + limitMs;
  for (;;) {
    const value = await look();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > end) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((next) => setTimeout(next, 50));
  }
}

/** Ends what is left and removes the folders. For `afterAll`. */
export async function endAll(): Promise<void> {
  await Promise.all(
    [...processes].map(async (child) => {
      const gone = new Promise((done) => child.once('close', done));
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await gone;
    }),
  );
  initialised = undefined;
  for (const folder of folders) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  folders.clear();
}
