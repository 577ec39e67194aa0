import { spawn } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * How children are bound to the life of the gateway.
 * - `pid_namespace`: each child is the init of a PID namespace. The kernel kills the namespace, whatever its members did
 *   to detach themselves, when its init dies; and kills that when the gateway's thread dies (`PR_SET_PDEATHSIG` on
 *   unshare(1), `--kill-child` on the init).
 * - `watcher`: a helper process kills the group and sweeps by tag. A process that left the session *and* wiped its
 *   environment *and* was orphaned escapes it; nothing in user space can do better without privileges.
 */
export type ContainmentMode = 'pid_namespace' | 'watcher';

export interface ContainmentPlan {
  readonly mode: ContainmentMode;
  /** Put before a connector's command; empty in `watcher` mode. Absolute paths: a connector's PATH has no say. */
  readonly prefix: readonly string[];
}

export const WATCHER_PLAN: ContainmentPlan = { mode: 'watcher', prefix: [] };

const PROBE_TIMEOUT_MS = 2_000;
const NAMESPACE = ['--pid', '--fork', '--kill-child', '--mount-proc'];
/** Without privileges a user namespace comes first; the second form is for a util-linux without `--map-current-user`. */
const VARIANTS = [[], ['--user', '--map-current-user'], ['--user', '--map-root-user']];

/**
 * Finds the strongest containment that this host really gives, by trying. Takes some milliseconds, a few seconds at
 * worst; never throws.
 * @param path folders to look for `setpriv` and `unshare` in, as in `PATH`
 */
export async function probeContainment(path: string): Promise<ContainmentPlan> {
  if (process.platform !== 'linux') return WATCHER_PLAN;
  const [setpriv, unshare] = await Promise.all([findProgram('setpriv', path), findProgram('unshare', path)]);
  if (setpriv === undefined || unshare === undefined) return WATCHER_PLAN;
  for (const variant of VARIANTS) {
    const prefix = [setpriv, '--pdeathsig', 'KILL', unshare, ...variant, ...NAMESPACE, '--'];
    // The inner process must see itself as init and, through its own /proc, nobody else's.
    if (await succeeds([...prefix, '/bin/sh', '-c', '[ $$ = 1 ] && [ -d /proc/1 ]']))
      return { mode: 'pid_namespace', prefix };
  }
  return WATCHER_PLAN;
}

/** Absolute path of a program. @param path folders to look in, as in `PATH` */
export async function findProgram(name: string, path: string): Promise<string | undefined> {
  for (const folder of path.split(':')) {
    if (!folder.startsWith('/')) continue;
    const file = join(folder, name);
    const isThere = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return file;
  }
  return undefined;
}

function succeeds(command: readonly string[]): Promise<boolean> {
  const [program = '', ...args] = command;
  return new Promise((resolve) => {
    // A probe that hangs is killed, and has failed.
    const limits = { timeout: PROBE_TIMEOUT_MS, killSignal: 'SIGKILL' } as const;
    const child = spawn(program, args, { ...limits, detached: true, env: {}, stdio: 'ignore' });
    child.once('error', () => resolve(false));
    child.once('exit', (code) => resolve(code === 0));
  });
}
