import { type ChildProcess, type ChildProcessWithoutNullStreams, type StdioOptions, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { RandomBytes } from '../../domain/ids.ts';
import type { Secret } from '../../domain/secret.ts';
import type { Log, Schedule } from '../../seams/clock.ts';
import { childEnvironment } from './child-environment.ts';
import { ContainedChild } from './contained-child.ts';
import { type ContainmentMode, type ContainmentPlan, probeContainment } from './probe-containment.ts';
import { probeSandbox, type SandboxSupport } from './probe-sandbox.ts';
import { ProcessWatcher } from './process-watcher.ts';
import { openSecretDescriptors, type SecretDescriptors, stdioWith } from './secret-descriptors.ts';
import { unreachable } from './upstream-faults.ts';

/**
 * Starts connectors' processes so that none outlives the gateway, kill −9 included (guarantee I3). Two lines: a PID
 * namespace where the host has one, and always the watcher, because a gateway that dies between fork(2) and the
 * child's prctl(2) leaves a child that asked for no signal.
 *
 * `PR_SET_PDEATHSIG` fires when the *thread* that forked ends: call `start` on the main thread.
 */
export interface Containment {
  readonly mode: ContainmentMode;
  /** Every process started here carries `REMIT_INSTANCE=<instance>.<number>` in its environment. */
  readonly instance: string;
  readonly watcher: ProcessWatcher;
  /** Whether processes can be put into a sandbox on this host, within this containment. Looked at once. */
  sandbox(): Promise<SandboxSupport>;
  /** @throws `ERR_CONNECTOR_UNREACHABLE` where the program cannot be started, or could not be contained */
  start(request: StartProcess): Promise<ContainedChild>;
  /** Ends every child, then the watcher. Idempotent. Nothing can be started afterwards. */
  close(): Promise<void>;
}

export interface StartProcess {
  /** Program and arguments; no shell. Seen by every user of the host: no secret but one whose owner knows that. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Secrets that it reads from file descriptors, by number. */
  readonly descriptors?: Readonly<Record<string, Secret>> | undefined;
  /** Left out: the gateway's own. */
  readonly workingDirectory?: string | undefined;
  /** Runs the command within something else. */
  readonly wrapper?: Wrapper | undefined;
}

export interface Wrapper {
  /** Put before the command. @param folder private to the child */
  prefix(folder: string): readonly string[];
  /** Makes what the command needs beside itself, before it is started; what it returns ends that, after the command. */
  readonly prepare?: ((folder: string) => Promise<() => Promise<void>>) | undefined;
  /** What the private folder is called inside. */
  readonly home: string;
}

export interface ContainmentOptions {
  readonly random: RandomBytes;
  readonly schedule: Schedule;
  /** The gateway's environment, of which a short list of names is passed on. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where the children's private folders are made. */
  readonly temporaryFolder: string;
  /** Left out: the strongest that the host gives. */
  readonly plan?: ContainmentPlan;
  readonly log?: Log;
}

/** One per gateway process. */
export async function createContainment(options: ContainmentOptions): Promise<Containment> {
  const { random, schedule, log } = options;
  const plan = options.plan ?? (await probeContainment(options.environment.PATH ?? ''));
  const instance = Buffer.from(random(16)).toString('hex');
  const folder = await mkdtemp(join(options.temporaryFolder, 'remit-')); // mode 0700
  const watcher = new ProcessWatcher({ instance, folder, schedule, ...(log === undefined ? {} : { log }) });
  await watcher.ready;
  const children = new Set<ContainedChild>();
  let sandbox: Promise<SandboxSupport> | undefined;
  let started = 0;
  let closing: Promise<void> | undefined;

  function refuseUnlessOpen(): void {
    if (closing !== undefined) throw unreachable('The gateway is stopping');
    if (!watcher.isAlive) throw unreachable('A process could not be contained, so none is started');
  }

  async function start({
    command,
    environment,
    descriptors,
    workingDirectory,
    wrapper,
  }: StartProcess): Promise<ContainedChild> {
    refuseUnlessOpen();
    started += 1;
    const tag = `${instance}.${started}`;
    const own = join(folder, String(started));
    let endPrepared = async (): Promise<void> => {};
    const cleanUp = async (): Promise<void> => {
      await endPrepared();
      await rm(own, { recursive: true, force: true });
    };
    await mkdir(own, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
      throw unreachable(`The private folder of a process could not be made (${error.code})`, { where: folder });
    });
    const opened = await openSecretDescriptors(descriptors ?? {}, own).catch(async (error: unknown) => {
      await cleanUp();
      throw error;
    });
    try {
      if (wrapper?.prepare !== undefined) endPrepared = await wrapper.prepare(own);
      refuseUnlessOpen(); // it may have closed meanwhile
      return await startWith(opened);
    } catch (error) {
      await cleanUp();
      throw error;
    } finally {
      // The child has its own ends; ours would keep the files there.
      await opened.close();
    }

    async function startWith({ handles }: SecretDescriptors): Promise<ContainedChild> {
      const home = wrapper?.home ?? own;
      const env = childEnvironment({ inherited: options.environment, folder: home, own: environment, tag });
      const whole = [...plan.prefix, ...(wrapper?.prefix(own) ?? []), ...command];
      const process = spawnOrCode(whole, { env, cwd: workingDirectory, stdio: stdioWith(handles) });
      const pid = typeof process === 'string' ? undefined : process.pid;
      if (typeof process === 'string' || pid === undefined) {
        const code = typeof process === 'string' ? process : await failureOf(process);
        throw unreachable(`The connector's program could not be started (${code})`, {
          hint: 'Check the command and the working directory of the connector.',
        });
      }
      watcher.add(pid);
      const child = new ContainedChild({ process, pid, tag, mode: plan.mode, watcher, schedule, log, cleanUp });
      children.add(child);
      void child.gone.then(() => children.delete(child));
      return child;
    }
  }

  async function end(): Promise<void> {
    await Promise.all([...children].map((child) => child.close()));
    await watcher.close();
    await rm(folder, { recursive: true, force: true });
  }

  return {
    mode: plan.mode,
    instance,
    watcher,
    sandbox() {
      sandbox ??= probeSandbox(options.environment.PATH ?? '', plan);
      return sandbox;
    },
    start,
    close() {
      closing ??= end();
      return closing;
    },
  };
}

/** The process, or the code of the error: Node's messages quote the offending value, which may be a secret. */
function spawnOrCode(
  command: readonly string[],
  options: { env: NodeJS.ProcessEnv; cwd: string | undefined; stdio: StdioOptions },
) {
  const [program = '', ...args] = command;
  try {
    return spawn(program, args, { ...options, detached: true, shell: false }) as ChildProcessWithoutNullStreams;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  }
}

function failureOf(process: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    process.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown'));
  });
}
