import type { ChildProcessByStdio } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import type { Log, Schedule } from '../../seams/clock.ts';
import type { ContainmentMode } from './probe-containment.ts';
import type { ProcessWatcher } from './process-watcher.ts';

export interface ContainedChildOptions {
  readonly process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly pid: number;
  readonly tag: string;
  readonly mode: ContainmentMode;
  readonly watcher: ProcessWatcher;
  readonly schedule: Schedule;
  readonly log: Log | undefined;
  /** Last step, when nothing of the child is left. */
  readonly cleanUp: () => Promise<void>;
}

/** How long a child may take over each step of its end: input closed, then SIGTERM, then SIGKILL. */
const EOF_GRACE_MS = 300;
const TERM_GRACE_MS = 300;
const INIT_GRACE_MS = 200;
const KILL_GRACE_MS = 5_000;
/** How long output may still arrive after the end of the process, from pipes that a descendant holds open. */
const DRAIN_MS = 200;

/** A process that the gateway started, with all its descendants. */
export class ContainedChild {
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves with how it ended (`exit code 1`, `signal SIGKILL`) when its output has been read. */
  readonly exited: Promise<string>;
  /** Resolves when no descendant is left either. Never rejects. */
  readonly gone: Promise<void>;
  readonly #options: ContainedChildOptions;
  #hasExited = false;
  #closing: Promise<void> | undefined;

  constructor(options: ContainedChildOptions) {
    const { process, pid } = options;
    this.#options = options;
    this.pid = pid;
    this.stdin = process.stdin;
    this.stdout = process.stdout;
    this.stderr = process.stderr;
    this.exited = this.#waitForExit();
    this.gone = this.exited.then(() => this.#endDescendants());
  }

  /** Ends the child and its descendants, politely at first. Idempotent; resolves when they are gone. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Ends them at once: for a child that breaks the protocol. */
  kill(): Promise<void> {
    if (!this.#hasExited) this.#signalGroup('SIGKILL');
    return this.gone;
  }

  async #close(): Promise<void> {
    this.stdin.end();
    if (!(await this.#exitsWithin(EOF_GRACE_MS))) {
      this.#signalGroup('SIGTERM');
      if (!(await this.#exitsWithin(TERM_GRACE_MS)) && !(await this.#killHard())) {
        this.#options.log?.error({ pid: this.pid }, 'a connector process does not die on SIGKILL');
        return; // stuck in the kernel; the watcher still has it
      }
    }
    await this.gone;
  }

  async #killHard(): Promise<boolean> {
    if (this.#options.mode === 'pid_namespace') {
      // The namespace's init first: unshare(1) then reaps it and ends by itself, which is the proof that the whole
      // namespace is gone (pid_namespaces(7)), and leaves no zombie to a container without a reaping init.
      for (const pid of childrenOf(this.pid)) signal(pid, 'SIGKILL');
      if (await this.#exitsWithin(INIT_GRACE_MS)) return true;
    }
    this.#signalGroup('SIGKILL');
    return await this.#exitsWithin(KILL_GRACE_MS);
  }

  async #waitForExit(): Promise<string> {
    const { process, mode } = this.#options;
    // Errors of a pipe are followed by the end of the process, or are the reader's to see.
    for (const emitter of [process, this.stdin, this.stdout, this.stderr]) emitter.on('error', () => {});
    const drained = new Promise<void>((resolve) => process.once('close', () => resolve()));
    const [code, killedBy] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
      process.once('exit', (...how) => resolve(how));
    });
    this.#hasExited = true;
    // At once, while the group's number cannot have been given to another process yet.
    if (mode === 'watcher') this.#signalGroup('SIGKILL');
    await this.#within(DRAIN_MS, drained);
    return killedBy === null ? `exit code ${code}` : `signal ${killedBy}`;
  }

  async #endDescendants(): Promise<void> {
    const { mode, watcher, log, tag, cleanUp } = this.#options;
    try {
      // In a PID namespace the kernel has ended them, unless unshare(1) itself was killed and the rest still has to die.
      if (mode === 'pid_namespace' && !signal(-this.pid, 0)) watcher.drop(this.pid);
      else await watcher.sweep(tag, this.pid);
      await cleanUp();
    } catch {
      log?.error({ pid: this.pid }, 'left-over processes of a connector could not be confirmed dead');
    }
  }

  #exitsWithin(ms: number): Promise<boolean> {
    return this.#within(ms, this.exited);
  }

  async #within(ms: number, event: Promise<unknown>): Promise<boolean> {
    let cancel = (): void => {};
    const late = new Promise<boolean>((resolve) => {
      cancel = this.#options.schedule(ms, () => resolve(false));
    });
    const isInTime = await Promise.race([event.then(() => true), late]);
    cancel();
    return isInTime;
  }

  #signalGroup(name: NodeJS.Signals): void {
    signal(-this.pid, name);
  }
}

/** Whether there was a process, or a group for a negative number, to signal. */
function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch {
    return false;
  }
}

function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
    return text
      .split(' ')
      .map(Number)
      .filter((child) => child > 1);
  } catch {
    return []; // a kernel without CONFIG_PROC_CHILDREN: the group is signalled instead
  }
}
