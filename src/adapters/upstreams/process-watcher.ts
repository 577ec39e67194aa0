import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import type { Log, Schedule } from '../../seams/clock.ts';
import { LineReader } from './line-reader.ts';
import { unreachable } from './upstream-faults.ts';
import { WATCHER_SCRIPT } from './watcher-script.ts';

/**
 * One small process per gateway that ends the gateway's children when the gateway is gone, kill −9 included: it notices
 * by the end of a pipe. It is also who looks through `/proc` while the gateway lives, so that no call waits behind that.
 * It is started again if it dies; where that fails, `isAlive` turns false and nothing may be started any more.
 */

const MOST_RESTARTS = 5;
const START_TIMEOUT_MS = 5_000;
const END_TIMEOUT_MS = 5_000;
const SWEEP_TIMEOUT_MS = 5_000;

export interface ProcessWatcherOptions {
  /** Random name of this gateway process. */
  readonly instance: string;
  /** Removed when the gateway is gone. */
  readonly folder: string;
  readonly schedule: Schedule;
  readonly log?: Log;
}

export class ProcessWatcher {
  readonly #options: ProcessWatcherOptions;
  readonly #groups = new Set<number>();
  readonly #sweeps = new Map<string, { group: number; done: () => void }>();
  #process: ChildProcess | undefined;
  #restarts = 0;
  #isReady = (): void => {};
  /** Resolves once the watcher does its work and a signal no longer stops it; also when that takes too long. */
  readonly ready: Promise<void>;
  #isClosing = false;

  constructor(options: ProcessWatcherOptions) {
    this.#options = options;
    this.ready = new Promise((resolve) => {
      const cancel = options.schedule(START_TIMEOUT_MS, resolve);
      this.#isReady = () => {
        cancel();
        resolve();
      };
    });
    this.#start();
  }

  get isAlive(): boolean {
    return this.#process !== undefined;
  }

  /** Process id, for tests. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Must follow the start of a child at once: in the time between, only the tag leads to it. */
  add(group: number): void {
    this.#groups.add(group);
    this.#tell(`add ${group}`);
  }

  drop(group: number): void {
    this.#groups.delete(group);
    this.#tell(`drop ${group}`);
  }

  /** Kills whatever is left of one child: its group, its session, all that carries its tag, and their descendants. */
  sweep(child: string, group: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.#options.schedule(SWEEP_TIMEOUT_MS, () => {
        this.#sweeps.delete(child);
        reject(
          unreachable('Left-over processes of a connector could not be confirmed dead', { where: `group ${group}` }),
        );
      });
      const done = (): void => {
        cancel();
        this.#sweeps.delete(child);
        this.#groups.delete(group);
        resolve();
      };
      this.#sweeps.set(child, { group, done });
      this.#tell(`sweep ${child} ${group}`);
    });
  }

  /** Lets the watcher do its last sweep and waits for its end. */
  close(): Promise<void> {
    this.#isClosing = true;
    const process = this.#process;
    if (process === undefined || process.exitCode !== null || process.signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#options.schedule(END_TIMEOUT_MS, resolve);
      process.once('exit', () => {
        cancel();
        resolve();
      });
      process.stdin?.end();
    });
  }

  #start(): void {
    // Detached: a session of its own, which no Ctrl-C and no kill of the gateway's group reaches. No inherited
    // environment: it needs nothing, and must not carry the tag that it looks for.
    const { instance, folder } = this.#options;
    const child = spawn(process.execPath, ['--max-old-space-size=32', '-e', WATCHER_SCRIPT, instance, folder], {
      detached: true,
      env: {},
      cwd: '/',
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.#process = child;
    child.once('error', () => this.#restart(child));
    child.once('exit', () => this.#restart(child));
    child.stdin.on('error', () => {});
    child.stdout.on('error', () => {});
    const reader = new LineReader({
      maxBytes: 1024,
      onLine: (line) => this.#hear(line),
      onOverflow: () => child.kill(),
    });
    child.stdout.on('data', (chunk: Buffer) => reader.push(chunk));
    // It must not keep the gateway's event loop alive.
    child.unref();
    unref(child.stdin);
    unref(child.stdout);
    for (const group of this.#groups) this.#tell(`add ${group}`);
    for (const [name, { group }] of this.#sweeps) this.#tell(`sweep ${name} ${group}`);
  }

  #restart(ended: ChildProcess): void {
    if (this.#process !== ended || this.#isClosing) return;
    this.#process = undefined;
    this.#restarts += 1;
    if (this.#restarts > MOST_RESTARTS) {
      this.#options.log?.error({}, 'the process watcher keeps dying; no connector process is started any more');
      return;
    }
    this.#options.log?.warn({ restarts: this.#restarts }, 'the process watcher died and is started again');
    this.#start();
  }

  #tell(line: string): void {
    this.#process?.stdin?.write(`${line}\n`);
  }

  #hear(line: string): void {
    const [verb, child] = line.split(' ');
    if (verb === 'ready') this.#isReady();
    if (verb === 'swept' && child !== undefined) this.#sweeps.get(child)?.done();
  }
}

/** The pipes of a child are sockets, which the type does not say. */
function unref(stream: Readable | Writable): void {
  (stream as Partial<{ unref(): void }>).unref?.();
}
